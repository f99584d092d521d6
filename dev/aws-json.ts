// The few calls to AWS that the tools of this folder make, and for which no SDK client is worth installing.
import { signPost } from '../lib/aws-signature.ts';

/** A call to a service that speaks AWS's JSON 1.1. Throws with what the service says. */
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
  if (!answer.ok) throw new Error(`${target} answered ${answer.status}: ${text}`);
  return JSON.parse(text) as Answer;
}
