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

/** Far above any answer of the services that this client asks. */
const maximumAnswerBytes = 4 * 1024 ** 2;

/**
 * A client for one address. It uses Node's own HTTP, because `fetch` would load a second implementation, which takes longer than everything
 * else that a function of the API loads. HTTP, and TLS if the address needs it, is loaded when the function starts, not while a caller waits.
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
