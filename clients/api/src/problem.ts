import type { Problem } from './generated.ts';

/** The service has refused a request, or cannot do it: what its problem document (RFC 9457) says. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  /** The HTTP status. */
  readonly status: number;
  /** Stable, for programs: `firmware.not_found`. `unknown` where something before the service has answered, a gateway for example. */
  readonly code: string;
  /** Every wrong field, each with what is wrong. */
  readonly errors: NonNullable<Problem['errors']>;
  /** By which the operators of the service find the request in its log. */
  readonly requestId: string | null;
  /** All that the service said. */
  readonly problem: Partial<Problem>;

  constructor(request: string, status: number, problem: Partial<Problem>, requestId: string | null) {
    super(`${request} answered ${status}: ${problem.detail ?? problem.title ?? 'no reason given'}`);
    this.status = status;
    this.code = problem.code ?? 'unknown';
    this.errors = problem.errors ?? [];
    this.requestId = requestId;
    this.problem = problem;
  }
}

/** The service cannot be reached: no answer has come. Whether it did what it was asked for is unknown. */
export class ApiUnreachable extends Error {
  override readonly name = 'ApiUnreachable';

  constructor(request: string, cause: unknown) {
    super(`${request}: the service cannot be reached (${reasonOf(cause)})`, { cause });
  }
}

/** `fetch` says only "fetch failed", and a host with several addresses nothing at all; the reason is below it. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  for (const each of [error, cause]) if (each instanceof AggregateError && each.errors[0] instanceof Error) return each.errors[0].message;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
};
