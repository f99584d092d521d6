// The few calls to AWS that the tools of this folder make, and for which no SDK client is worth installing.
import { signPost } from '../../lib/aws-signature.ts';

/** What a service answered instead of what was asked of it. */
export class AwsError extends Error {
  override name = 'AwsError';
  /** For example `ResourceExistsException`. */
  readonly code: string;
  constructor(target: string, status: number, text: string) {
    super(`${target} answered ${status}: ${text}`);
    this.code = /"__type"\s*:\s*"(?:[^"]*#)?(\w+)/.exec(text)?.[1] ?? '';
  }
}

/** A call to a service that speaks AWS's JSON 1.1. Throws an {@link AwsError} with what the service says. */
export async function callAws<Answer>(
  { endpoint, service, region, target }: { endpoint: string; service: string; region: string; target: string },
  credentials: { accessKeyId: string; secretAccessKey: string },
  request: unknown,
): Promise<Answer> {
  const body = JSON.stringify(request);
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': target };
  const host = new URL(endpoint).host;
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: signPost({ host, service, region, body, headers }, credentials, new Date()),
    body,
    signal: AbortSignal.timeout(30_000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new AwsError(target, answer.status, text);
  return JSON.parse(text) as Answer;
}
