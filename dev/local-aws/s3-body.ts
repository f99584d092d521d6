import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { S3Error } from './s3-signature.ts';
import type { Content, Headers } from './s3-store.ts';

const chunkedWithTrailer = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

/** Streams the body into a file and checks everything the request says about it. A cut connection rejects; the file is the caller's to remove. */
export async function receiveBody(request: IncomingMessage, payloadHash: string, path: string): Promise<Omit<Content, 'file'>> {
  const { headers } = request;
  const announced = headers['x-amz-decoded-content-length'] ?? headers['content-length'];
  if (announced === undefined) throw new S3Error(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.');
  const chunked = payloadHash === chunkedWithTrailer;
  if (!chunked && payloadHash.startsWith('STREAMING-')) throw new S3Error(501, 'NotImplemented', `${payloadHash} is not implemented`);

  const trailers: Headers = {};
  const isPromised = (name: string) => chunked || headers[name] !== undefined;
  const isHashSigned = /^[0-9a-f]{64}$/.test(payloadHash);
  const [md5, sha256] = [createHash('md5'), createHash('sha256')];
  const needs = { sha256: isHashSigned || isPromised('x-amz-checksum-sha256'), crc32: isPromised('x-amz-checksum-crc32') };
  let [size, crc] = [0, 0];
  async function* measure(bytes: AsyncIterable<Buffer>) {
    for await (const piece of bytes) {
      md5.update(piece);
      if (needs.sha256) sha256.update(piece);
      if (needs.crc32) crc = crc32(piece, crc);
      size += piece.length;
      yield piece;
    }
  }
  const file = createWriteStream(path);
  // Without this, the file of a body that is refused at once would be created after it was removed, and stay.
  await once(file, 'open');
  await pipeline(chunked ? withoutChunks(request, trailers) : request, measure, file);

  const [md5Sum, sha256Sum, crc32Sum] = [md5.digest(), sha256.digest(), Buffer.from(crc.toString(16).padStart(8, '0'), 'hex')];
  if (size !== Number(announced)) throw new S3Error(400, 'IncompleteBody', 'The body has not the length that Content-Length gives.');
  if (isHashSigned && payloadHash !== sha256Sum.toString('hex')) {
    throw new S3Error(400, 'XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.");
  }
  const promised = { ...headers, ...trailers };
  const missing = [headers['x-amz-trailer'] ?? []].flat().find((name) => !(name in trailers));
  if (missing) throw new S3Error(400, 'MalformedTrailerError', `The trailer ${missing} is missing.`);
  const sums = { 'content-md5': md5Sum, 'x-amz-checksum-sha256': sha256Sum, 'x-amz-checksum-crc32': crc32Sum };
  const verified = Object.entries(sums).flatMap(([name, sum]) => {
    if (promised[name] === undefined) return [];
    if (promised[name] === sum.toString('base64')) return [[name, promised[name]]];
    throw new S3Error(400, 'BadDigest', `The ${name} you specified did not match the calculated checksum.`);
  });
  const { 'content-md5': _, ...checksums } = Object.fromEntries(verified);
  return { size, etag: `"${md5Sum.toString('hex')}"`, checksums };
}

/** Undoes aws-chunked: `<size in hex>\r\n<bytes>\r\n`, repeated until the size is 0, then `<name>:<value>\r\n` trailers and an empty line. */
async function* withoutChunks(body: AsyncIterable<Buffer>, trailers: Headers) {
  let rest: Buffer = Buffer.alloc(0);
  let [missingBytes, inTrailer, complete] = [0, false, false];
  for await (const piece of body) {
    rest = Buffer.concat([rest, piece]);
    while (rest.length > 0) {
      if (missingBytes > 0) {
        const bytes = rest.subarray(0, missingBytes);
        missingBytes -= bytes.length;
        rest = rest.subarray(bytes.length);
        yield bytes;
        continue;
      }
      const end = rest.indexOf('\r\n');
      if (end < 0) break; // the rest of the line is still to come
      const line = rest.toString('latin1', 0, end);
      rest = rest.subarray(end + 2);
      const [name = '', value] = line.split(/: *(.*)/);
      if (value !== undefined) trailers[name.toLowerCase()] = value;
      else if (line !== '') [missingBytes, inTrailer] = [Number.parseInt(line, 16), Number.parseInt(line, 16) === 0];
      else complete = inTrailer; // otherwise the line end behind a chunk
    }
  }
  if (!complete) throw new S3Error(400, 'IncompleteBody', 'The aws-chunked body ends too early.');
}
