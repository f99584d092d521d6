// A small S3 for local development and tests: always versioned, path style only. It answers 501 to requests that it does not implement: list
// delimiters, lists of versions or parts, copies of whole objects, subresources such as tags, conditions other than `If-None-Match: *`, signed
// chunks.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Call, deleteObject, listObjects, type OnObjectCreated, putObject, readObject, send, sendXml } from './s3-objects.ts';
import { type Credentials, S3Error, verifySignature } from './s3-signature.ts';
import { openBucket } from './s3-store.ts';
import { abortUpload, completeUpload, createUpload, listUploads, uploadPart } from './s3-uploads.ts';

export interface S3ServerOptions {
  /** Where objects live, in one directory a bucket. */
  directory: string;
  host?: string;
  port?: number;
  credentials: Credentials;
  /** Created when missing. */
  buckets: string[];
  /** Called when a version is stored and before the PUT is answered. An error makes the PUT fail with 500 and takes the version back. */
  onObjectCreated?: OnObjectCreated;
}

export async function startS3Server(options: S3ServerOptions): Promise<{ url: string; port: number; close(): Promise<void> }> {
  const { credentials, onObjectCreated = async () => {} } = options;
  const buckets = new Map(options.buckets.map((name) => [name, openBucket(options.directory, name)]));
  const underWay = new Set<Promise<void>>();
  const server = createServer((request, response) => {
    const work: Promise<void> = answer(request, response)
      .catch((error) => sendError(response, error))
      .finally(() => underWay.delete(work));
    underWay.add(work);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('x-amz-request-id', randomUUID());
    allowPages(request, response);
    if (request.method === 'OPTIONS') return void response.writeHead(200).end();
    const [path = '', search] = (request.url ?? '').split(/\?(.*)/s);
    const query = new URLSearchParams(search);
    const signed = verifySignature(request, query, credentials);
    const [, bucketName = '', key = ''] = (/^\/([^/]*)\/?(.*)$/s.exec(path) ?? []).map(decodeURIComponent);
    const bucket = buckets.get(bucketName);
    if (!bucket) throw new S3Error(404, 'NoSuchBucket', 'The specified bucket does not exist');
    await findOperation(request, key, query)({ request, response, query, bucket, key, ...signed, onObjectCreated });
  }

  server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  const close = async () => {
    const closed = once(server, 'close');
    server.close().closeAllConnections();
    await Promise.all([closed, ...underWay]);
  };
  return { url: `http://${address}:${port}`, port, close };
}

/** Allows pages of any origin to use signed links, as the CORS rule of the bucket does (resources/firmware-bucket.yml). */
function allowPages({ headers }: IncomingMessage, response: ServerResponse): void {
  if (headers.origin === undefined) return;
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-allow-methods', 'GET, PUT');
  response.setHeader('access-control-allow-headers', headers['access-control-request-headers'] ?? '*');
  response.setHeader('access-control-max-age', '3600');
}

const operations: Record<string, (call: Call) => unknown> = {
  'HEAD bucket': ({ response }) => send(response, 200),
  'GET bucket?list-type': listObjects,
  'GET bucket?uploads': listUploads,
  'PUT object': putObject,
  'GET object': readObject,
  'HEAD object': readObject,
  'DELETE object': deleteObject,
  'POST object?uploads': createUpload,
  'PUT object?partNumber&uploadId': uploadPart,
  'POST object?uploadId': completeUpload,
  'DELETE object?uploadId': abortUpload,
};
const knownParameters = /^(x-amz-.+|x-id|list-type|prefix|max-keys|continuation-token|uploads|uploadId|partNumber|versionId|response-.+)$/i;

function findOperation({ method, headers }: IncomingMessage, key: string, query: URLSearchParams) {
  const subresource = ['list-type', 'uploads', 'partNumber', 'uploadId'].filter((name) => query.has(name)).join('&');
  const operation = operations[`${method} ${key ? 'object' : 'bucket'}${subresource && `?${subresource}`}`];
  const isCopy = headers['x-amz-copy-source'] !== undefined && operation !== uploadPart;
  const unknownHeader = headers['if-match'] || isCopy || (headers['if-none-match'] ?? '*') !== '*';
  if (operation && !unknownHeader && [...query.keys()].every((name) => knownParameters.test(name))) return operation;
  throw new S3Error(501, 'NotImplemented', 'dev/local-aws/s3-server.ts does not implement this request');
}

function sendError(response: ServerResponse, error: Error): void {
  if (response.headersSent || response.destroyed) return void response.destroy(); // the client went away, or gets a download that ends too early
  const badPath = error instanceof URIError && new S3Error(400, 'InvalidURI', "Couldn't parse the specified URI.");
  const known = error instanceof S3Error ? error : badPath;
  if (!known) console.error('S3 request failed', error);
  const { status, code, message } = known || new S3Error(500, 'InternalError', 'We encountered an internal error. Please try again.');
  sendXml(response, 'Error', [{ Code: code, Message: message, RequestId: response.getHeader('x-amz-request-id') }], status);
}
