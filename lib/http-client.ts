import type { IncomingHttpHeaders, RequestOptions } from 'node:http';

export interface HttpRequest {
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
  /** From the first byte sent to the last one received. */
  timeoutMilliseconds: number;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

export type HttpClient = (request: HttpRequest) => Promise<HttpAnswer>;

/** The other end did not answer in time. */
export class RequestTimeout extends Error {
  override readonly name = 'RequestTimeout';
}

/** Far above whatever the services that are asked by this client answer. */
const maximumAnswerBytes = 4 * 1024 ** 2;

/**
 * Asks one address. `fetch` would load a second implementation of HTTP, which takes longer than all else that a function of the API loads.
 * Node's own is loaded here, and TLS with it only where the address needs it: when the function starts, and not while its caller waits.
 * Follows no redirection.
 *
 * @returns a function that throws {@link RequestTimeout}, or what Node says of a connection that broke.
 */
export const createHttpClient = (url: URL): HttpClient => {
  const { request } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
  return ({ method, headers, body, timeoutMilliseconds }) =>
    new Promise((resolve, reject) => {
      const options: RequestOptions = {
        method,
        headers: { ...headers, ...(body && { 'content-length': Buffer.byteLength(body) }) },
        agent: false,
      };
      const sent = request(url, options, (answer) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        answer.on('error', reject);
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
          if (bytes > maximumAnswerBytes) sent.destroy(new Error(`The answer has more than ${maximumAnswerBytes} bytes`));
        });
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString() }),
        );
      });
      const timer = setTimeout(
        () => sent.destroy(new RequestTimeout(`${url.host} did not answer within ${timeoutMilliseconds} ms`)),
        timeoutMilliseconds,
      );
      sent.on('error', reject);
      sent.on('close', () => clearTimeout(timer));
      sent.end(body);
    });
};
