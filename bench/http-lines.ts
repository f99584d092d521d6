// What `npm run bench:http` measures over HTTP: each line has a state to begin with, and its requests.
import { sql } from 'kysely';
import { sqsEvent } from '../test/support/s3-events.ts';
import { cycleOf, pollOf } from './ddi-calls.ts';
import { type Fleet, type GivenUpdate, givenSeenLately, givenUpdate } from './fleet.ts';
import { invokePath } from './front.ts';
import { toRequest, type Unit } from './http-clients.ts';
import type { Call } from './measure.ts';
import { externalIdOf } from './seed.ts';

export interface HttpLine {
  name: string;
  title: string;
  functions: readonly string[];
  /** How many of the things in the title a unit of work has. */
  per: number;
  /** Whether it only reads. Then pgbench sends exactly its statements for comparison; otherwise one committed write of a row. */
  reads: boolean;
  isHeavy?: true;
  /** Makes the state, and answers units in it: without end, or as many as the state has. */
  prepare(fleet: Fleet, token: string): Promise<Iterator<Unit>>;
}

/** Hardware types of scooters. Each line that needs devices without an update takes the next one. */
const types = ['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock'];
function* endless<Item>(items: readonly Item[]): Generator<Item, never> {
  for (;;) yield* items;
}
const turns = endless(types);
const nextType = (): string => turns.next().value;

/** Takes the devices in turn, so that no row is used again before all others were. */
const inTurn = <Item>(items: readonly Item[], toUnit: (item: Item) => Unit) => endless(items.map(toUnit));

const get = (call: Omit<Call, 'method'>): Unit => [toRequest({ method: 'GET', ...call })];

const confirmationsOf = ({ hardware_type, version, executions }: GivenUpdate, token: string, perCall: number): Unit[] => {
  const units: Unit[] = [];
  for (let first = 0; first + perCall <= executions.length; first += perCall) {
    const confirmations = executions.slice(first, first + perCall).map(({ id, external_id }) => ({
      ...{ external_id, hardware_type, version, status: 'SUCCEEDED', execution_id: id },
      occurred_dt: new Date().toISOString(),
    }));
    units.push([toRequest({ method: 'POST', path: '/v1/confirmations', token, body: { confirmations } })]);
  }
  return units;
};

const scooters = sql`d.kind = 'scooter'`;

const confirm = (perCall: number) => async (fleet: Fleet, token: string) => {
  const wanted = { phase: 'asked', hardware_type: nextType(), devices: scooters, limit: fleet.scooters } as const;
  return confirmationsOf(await givenUpdate(fleet.db, wanted), token, perCall).values();
};

export const httpLines: readonly HttpLine[] = [
  {
    ...{ name: 'poll', title: 'idle poll', functions: ['iot-poll'], per: 1, reads: true },
    async prepare({ db, cabinets }) {
      await givenSeenLately(db);
      return inTurn(cabinets, (cabinet) => [toRequest(pollOf(cabinet))]);
    },
  },
  {
    ...{ name: 'get', title: '`GET` of one device', functions: ['get-device-versions'], per: 1, reads: true },
    async prepare({ scooters: count }, token) {
      const path = '/v1/scooters/{external_id}';
      const ids = Array.from({ length: Math.min(count, 5_000) }, (_, i) => externalIdOf(1 + ((i * 7_919) % count)));
      return inTurn(ids, (external_id) => get({ path, pathParameters: { external_id }, token }));
    },
  },
  {
    ...{ name: 'list', title: 'list page of 50', functions: ['list-devices'], per: 1, reads: true },
    async prepare(_, token) {
      const unit = get({ path: '/v1/devices', query: { kind: 'scooter', limit: '50' }, token });
      return endless([unit]);
    },
  },
  {
    ...{
      name: 'lookup',
      title: 'devices looked up, 1,000 a call',
      functions: ['get-device-versions'],
      per: 1_000,
      reads: true,
      isHeavy: true,
    },
    async prepare({ scooters: count }, token) {
      const calls = Array.from({ length: 20 }, (_, n) => ({
        kind: 'scooter',
        external_ids: Array.from({ length: 1_000 }, (_, i) => externalIdOf(1 + (((n * 1_000 + i) * 7) % count))),
      }));
      return inTurn(calls, (body) => [toRequest({ method: 'POST', path: '/v1/devices/lookup', token, body })]);
    },
  },
  {
    ...{ name: 'confirm', title: 'one confirmation a call', functions: ['confirm-update'], per: 1, reads: false },
    prepare: confirm(1),
  },
  {
    ...{
      name: 'confirm-batch',
      title: 'confirmations, 1,000 a call',
      functions: ['confirm-update'],
      per: 1_000,
      reads: false,
      isHeavy: true,
    },
    prepare: confirm(1_000),
  },
  {
    ...{ name: 'plan', title: 'planning 10,000 devices', functions: ['request-update'], per: 10_000, reads: false, isHeavy: true },
    async prepare(fleet, token) {
      const { db, scooters: count } = fleet;
      const hardware_type = nextType();
      // An update without devices: only its firmware is needed.
      await givenUpdate(db, { phase: 'released', hardware_type, devices: sql`false`, limit: 1 });
      const { id: firmware_id } = await db
        .selectFrom('firmwares')
        .select('id')
        .where('hardware_type', '=', hardware_type)
        .orderBy('id', 'desc')
        .executeTakeFirstOrThrow();
      const units = Array.from({ length: Math.floor(count / 10_000) }, (_, n): Unit => {
        const external_ids = Array.from({ length: 10_000 }, (_, i) => externalIdOf(1 + n * 10_000 + i));
        return [
          toRequest({ method: 'POST', path: '/v1/updates', token, body: { firmware_id, targets: { kind: 'scooter', external_ids } } }),
        ];
      });
      return units.values();
    },
  },
  {
    ...{ name: 'dispatch', title: 'dispatch of 10,000, a hundred a call', functions: ['dispatch-update'], per: 100, reads: false },
    async prepare(fleet) {
      const { db } = fleet;
      const wanted = { phase: 'released', hardware_type: nextType(), devices: scooters, limit: fleet.scooters } as const;
      const { id } = await givenUpdate(db, wanted);
      const chunks = await db.selectFrom('update_dispatches').select('id').where('update_id', '=', id).orderBy('id').execute();
      return chunks
        .map((chunk): Unit => {
          const body = sqsEvent({ [String(chunk.id)]: { dispatch_id: chunk.id } });
          return [toRequest({ method: 'POST', path: `${invokePath}dispatch-update`, body })];
        })
        .values();
    },
  },
  {
    ...{ name: 'iot-update', title: 'own-IoT update, four calls', per: 1, reads: false },
    functions: ['iot-poll', 'iot-deployment', 'iot-feedback', 'iot-config-data'],
    async prepare({ db, cabinets }) {
      await givenSeenLately(db);
      const wanted = { phase: 'offered', hardware_type: 'cabinet', devices: sql`d.channel = 'iot'`, limit: cabinets.length } as const;
      const { version, executions } = await givenUpdate(db, wanted);
      const ids = new Map(executions.map(({ external_id, id }) => [external_id, id]));
      return cabinets.map((cabinet): Unit => cycleOf(cabinet, ids.get(cabinet.external_id) ?? 0, version).map(toRequest)).values();
    },
  },
];
