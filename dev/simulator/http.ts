import { createHash, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { Problem } from './contract.ts';

const maximumBodyBytes = 2 * 1024 * 1024;

export function authenticate(request: IncomingMessage, token: string) {
  // Digests have one length, which is what the comparison in constant time needs.
  const digest = (text: string) => createHash('sha256').update(text).digest();
  if (!timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${token}`)))
    throw new Problem(401, 'unauthorized', 'A valid bearer token is needed.', { headers: { 'www-authenticate': 'Bearer' } });
}

export function findRoute(routes: Record<string, unknown>, method: string, path: string): { route: string; params: string[] } {
  const allowed: string[] = [];
  for (const route of Object.keys(routes)) {
    const [routeMethod = '', template = ''] = route.split(' ');
    const match = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '([^/]+)')}$`).exec(path);
    if (match && routeMethod === method) return { route, params: match.slice(1).map(decode) };
    if (match) allowed.push(routeMethod);
  }
  if (allowed.length === 0) throw new Problem(404, 'route.not_found', 'There is no such route.');
  throw new Problem(405, 'method.not_allowed', 'The route has other methods.', { headers: { allow: allowed.join(', ') } });
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, 'request.invalid', 'The path is not well-formed.');
  }
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // The rest of a body that is too large is read and thrown away, so that the caller gets an answer instead of a broken connection.
    if (size <= maximumBodyBytes) chunks.push(chunk);
  }
  if (size > maximumBodyBytes) throw new Problem(413, 'request.too_large', `A body may have ${maximumBodyBytes} bytes.`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Problem(400, 'request.invalid', 'The body is not JSON.', { errors: [{ field: 'body', message: 'must be JSON' }] });
  }
}

export function sendProblem(response: ServerResponse, { status, code, message, errors, headers }: Problem) {
  const problem = { type: 'about:blank', title: STATUS_CODES[status], status, code, detail: message, ...(errors.length > 0 && { errors }) };
  sendJson(response, status, problem, { 'content-type': 'application/problem+json', ...headers });
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string>) {
  response.writeHead(status, headers).end(JSON.stringify(body));
}
