import { AsyncLocalStorage } from 'node:async_hooks';
import { DomainError } from '../../../../lib/errors.ts';

/** What goes wrong in one run of a use case: the function dies before its n-th statement or call, or a send stores only a part and fails. */
export type Fault = { crashBefore: number } | { sendStores: number } | null;

/** What the functions depend on. The backend has modes of its own (simulated-fleet.ts). */
export const dependencies = ['database', 'queue', 'storage', 'signing keys', 'identity provider'] as const;
export type Dependency = (typeof dependencies)[number];

/** The function has died. */
export class Crash extends Error {
  override readonly name = 'Crash';
}

export interface Observed {
  external_id: string;
  hardware_type: string;
  version: string;
  at: Date;
}

/** One run of a use case. */
export interface Run {
  fault: Fault;
  /** What is away while it runs: the same set for all runs of a world. */
  away: ReadonlySet<Dependency>;
  /** Number of the last fact when it began. */
  began: number;
  observed: Observed[];
}

export const runs = new AsyncLocalStorage<Run>();

/** Called before every operation for which a use case waits. */
export const passBy = (): void => {
  const fault = runs.getStore()?.fault;
  if (!fault || !('crashBefore' in fault)) return;
  if (fault.crashBefore === 0) throw new Crash('The function has died');
  fault.crashBefore -= 1;
};

const failures: Record<Dependency, () => Error> = {
  // As the driver says it.
  database: () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
  queue: () => new DomainError('queue.unavailable', 'The queue does not take messages'),
  storage: () => new DomainError('storage.unavailable', 'The file storage does not answer'),
  'identity provider': () => new DomainError('auth.keys_unavailable', 'The keys to check tokens with cannot be fetched'),
  'signing keys': () => new DomainError('signing.unavailable', 'The signing key cannot be read'),
};

const simulated = new WeakSet<object>();

/** Called before every use of a dependency. */
export const use = (dependency: Dependency): void => {
  passBy();
  if (!runs.getStore()?.away.has(dependency)) return;
  const failure = failures[dependency]();
  simulated.add(failure);
  throw failure;
};

/** Whether an error comes from a dependency that is away in this world. Any other error comes from the real database. */
export const isSimulated = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.some(isSimulated);
  return error instanceof Crash || simulated.has(error) || isSimulated(error.cause);
};

/** For `createDatabase`: a fault can come before any statement, including the commit. */
export const hinderStatement = (statement: string): void => {
  if (statement !== 'rollback') use('database');
};
