import type { Opening } from '../zone-rules.ts';
import type { When } from './dry-run.ts';

/** Eligible devices of a zone. */
export interface ZoneTurn {
  /** '': devices without a zone. */
  zone: string;
  count: number;
  opening: Opening;
  /** How many may be asked beside those at work; null: any number. */
  places: number | null;
}

/** When devices are asked, as far as zones decide it. Devices behind a closed window are not also counted as waiting for a budget. */
export const whenOf = (zones: readonly ZoneTurn[]): When => {
  const turns = zones.map((zone) => ({ ...zone, now: nowOf(zone) }));
  const later = turns.flatMap(({ zone, count, opening, now }) => {
    if (count === now) return [];
    const held = { zone: zone === '' ? null : zone, count: count - now };
    return [
      opening.isOpen ? { ...held, cause: 'BUDGET' as const, opens_dt: null } : { ...held, cause: 'WINDOW' as const, ...opensOf(opening) },
    ];
  });
  return { now: turns.reduce((sum, { now }) => sum + now, 0), later: later.toSorted((a, b) => timeOf(a) - timeOf(b)) };
};

const nowOf = ({ count, opening, places }: ZoneTurn): number => (opening.isOpen ? Math.min(count, places ?? count) : 0);
const opensOf = ({ opens_dt }: Opening & { isOpen: false }) => ({ opens_dt });

/** Sorts by time; entries without a time come last. */
const timeOf = ({ opens_dt }: { opens_dt: Date | null }): number => opens_dt?.getTime() ?? Number.MAX_SAFE_INTEGER;
