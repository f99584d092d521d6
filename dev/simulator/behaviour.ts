import { z } from 'zod';

const rate = z.number().min(0).max(1).default(0);
const wholeSeconds = z.int().min(1).max(86_400);

const fields = {
  /** Median of the installation time. The times are log-normal; the long tail ends at four times the median. */
  install_seconds: z.number().min(0).max(86_400).default(6),
  /** The device reports FAILED and keeps its version. */
  failure_rate: rate,
  /** The backend answers `deferred`: the device cannot be updated just now. */
  deferral_rate: rate,
  deferral_min_seconds: wholeSeconds.default(5),
  deferral_max_seconds: wholeSeconds.default(15),
  /** Accepted, then nothing is ever reported. Half of these devices did install. */
  silent_rate: rate,
  /** The device reports SUCCEEDED, yet runs its old version and names that one. */
  lie_rate: rate,
  /** The backend answers `rejected`. */
  rejection_rate: rate,
  /** Added to every /v1 call, after its work is done: a caller that gives up before then has lost an answer, not a command. */
  slow_ms: z.int().min(0).max(600_000).default(0),
  /** How every /v1 call fails; `hang` accepts the call and never answers it. */
  outage: z.enum(['off', '503', '429', '500', 'hang']).default('off'),
  /** Whether devices report IN_PROGRESS when their download starts. */
  report_progress: z.boolean().default(false),
};

const inOrder = (value: { deferral_min_seconds: number; deferral_max_seconds: number }) =>
  value.deferral_min_seconds <= value.deferral_max_seconds;
const notInOrder = { path: ['deferral_max_seconds'], message: 'must not be below deferral_min_seconds' };

export const Behaviour = z.object(fields).refine(inOrder, notInOrder);
export type Behaviour = z.infer<typeof Behaviour>;

const StrictBehaviour = z.strictObject(fields).refine(inOrder, notInOrder);
const Change = z.record(z.string(), z.unknown());

/** The behaviour with some of its fields changed. Throws a ZodError that names the fields that are wrong or unknown. */
export const changeBehaviour = (current: Behaviour, change: unknown): Behaviour =>
  StrictBehaviour.parse({ ...current, ...Change.parse(change) });
