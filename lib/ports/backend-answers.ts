// How the backend's answers are read. An item that cannot be understood does not affect the others.
import * as z from 'zod/mini';
import type { CommandOutcome, DevicePage, DeviceVersions } from './backend.ts';

/** An answer that cannot be used at all. Its message says what is wrong with it, and names the device or the field. */
export class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer';
}

/** An answer about 1,000 devices with ten hardware types each has 2 MiB. */
const maximumBytes = 8 * 2 ** 20;
/** More than the contract allows in any list; a longer list is not read. */
const maximumItems = 2_000;
const maximumFirmwares = 100;

/**
 * Reads the JSON of an answer. Never more than 8 MiB are held in memory, because a function has 512 MiB.
 *
 * @throws {@link WrongAnswer} when the answer is larger, or no JSON; the connection's error when it breaks.
 */
export const readJson = async (response: Response): Promise<unknown> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop ends the connection. The bytes are counted after decompression.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maximumBytes) throw new WrongAnswer('it has more than 8 MiB');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new WrongAnswer('it is no JSON');
  }
};

/** What is wrong with a value, beginning with the name of the field. */
const problemOf = ({ issues: [issue] }: z.core.$ZodError, place: string): string =>
  `${[place, ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'is wrong'}`;

const parseOrThrow = <S extends z.ZodMiniType>(schema: S, answer: unknown, name: string): z.output<S> => {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new WrongAnswer(problemOf(parsed.error, name));
};

const Items = z.array(z.unknown()).check(z.maxLength(maximumItems));

/** Items that can be used. @throws {@link WrongAnswer} when there are items and none of them can. */
const usable = <S extends z.ZodMiniType>(schema: S, items: readonly unknown[], nameOf: (item: unknown, i: number) => string) => {
  const parsed = items.map((item) => schema.safeParse(item));
  const good = parsed.flatMap(({ data }) => (data === undefined ? [] : [data]));
  const wrong = parsed.findIndex(({ success }) => !success);
  if (good.length === 0 && wrong >= 0) {
    throw new WrongAnswer(problemOf((parsed[wrong] as { error: z.core.$ZodError }).error, nameOf(items[wrong], wrong)));
  }
  return good;
};

/** The backend's words, without what PostgreSQL cannot store. */
const Reason = z.pipe(
  z.string(),
  z.transform((text) => text.replaceAll('\u0000', '')),
);

/** An item that names its execution, even if nothing else in it can be understood. */
const NamedResult = z.looseObject({ execution_id: z.int() });

const Result = z.discriminatedUnion('outcome', [
  z.object({ execution_id: z.int(), outcome: z.literal('accepted') }),
  z.object({
    execution_id: z.int(),
    outcome: z.literal('deferred'),
    reason: Reason,
    retry_after_seconds: z.number().check(z.minimum(0), z.maximum(604_800)),
  }),
  z.object({ execution_id: z.int(), outcome: z.literal('rejected'), reason: Reason }),
]);

/** How long a device waits whose item in the answer cannot be understood. */
export const oddItemSeconds = 60;

const toOutcome = (named: z.output<typeof NamedResult>): CommandOutcome => {
  const { data, error } = Result.safeParse(named);
  if (data) return data;
  const { execution_id } = named;
  const reason = `the backend's answer is wrong: ${problemOf(error, 'result')}`;
  // "deferred" is clear even with a wrong time or without a reason. For any other item nobody knows whether the command was taken.
  if (named['outcome'] === 'deferred') return { execution_id, outcome: 'deferred', reason, retry_after_seconds: oddItemSeconds };
  return { execution_id, outcome: 'unclear', reason };
};

/** @throws {@link WrongAnswer} */
export const toOutcomes = (answer: unknown): CommandOutcome[] => {
  const { results } = parseOrThrow(z.object({ results: Items }), answer, 'answer');
  return usable(NamedResult, results, (_item, i) => `results.${i}`).map(toOutcome);
};

const Versions = z.object({
  external_id: z.string(),
  version: z.nullable(z.int()),
  firmwares: z
    .array(z.object({ hardware_type: z.string(), version: z.string(), since_dt: z.string(), observed_dt: z.string() }))
    .check(z.maxLength(maximumFirmwares)),
});

/** "devices.3 (S-00012)" */
const deviceName = (list: string) => (item: unknown, i: number) => {
  const { data } = z.object({ external_id: z.string().check(z.maxLength(64)) }).safeParse(item);
  return `${list}.${i}${data ? ` (${data.external_id})` : ''}`;
};

/** Leaves out devices whose item cannot be understood. @throws {@link WrongAnswer} */
export const toVersions = (answer: unknown): DeviceVersions[] => {
  const { devices } = parseOrThrow(z.object({ devices: Items }), answer, 'answer');
  return usable(Versions, devices, deviceName('devices'));
};

const Page = z.object({ items: Items, next_cursor: z.nullable(z.string().check(z.maxLength(4_096))) });
const Known = z.object({ kind: z.string(), external_id: z.string(), version: z.nullable(z.int()) });

/** Leaves out devices whose item cannot be understood. @throws {@link WrongAnswer} */
export const toPage = (answer: unknown): DevicePage => {
  const { items, next_cursor } = parseOrThrow(Page, answer, 'answer');
  return { items: usable(Known, items, deviceName('items')), next_cursor };
};
