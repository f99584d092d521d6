import { formatList, formatWeekday } from '../format.ts';
import { text } from '../text.ts';
import { Field } from './controls.tsx';
import { daysOfWeek, type WindowDraft } from './window.ts';

/** When devices may be asked, by the clock where they stand. */
export const WindowFields = ({ draft, onChange, hint }: { draft: WindowDraft; onChange: (draft: WindowDraft) => void; hint?: string }) => (
  <>
    <Field label={text.zones.from}>
      {(ids) => <input {...ids} type="time" value={draft.from} onChange={(event) => onChange({ ...draft, from: event.target.value })} />}
    </Field>
    <Field label={text.zones.until} {...(hint ? { hint } : {})}>
      {(ids) => <input {...ids} type="time" value={draft.until} onChange={(event) => onChange({ ...draft, until: event.target.value })} />}
    </Field>
    <fieldset className="days wide">
      <legend>{text.zones.days}</legend>
      {daysOfWeek.map((day) => (
        <label key={day}>
          <input
            type="checkbox"
            checked={draft.days.includes(day)}
            onChange={({ target }) =>
              onChange({ ...draft, days: daysOfWeek.filter((each) => (each === day ? target.checked : draft.days.includes(each))) })
            }
          />{' '}
          {formatWeekday(daysOfWeek.indexOf(day))}
        </label>
      ))}
    </fieldset>
  </>
);

/** `02:00 to 05:00, Mon and Tue`. */
export const windowText = (window: { from: string; until: string; days?: readonly string[] | undefined } | null): string => {
  if (window === null) return text.zones.always;
  const days = daysOfWeek.filter((day) => window.days?.includes(day) ?? true);
  const names = days.map((day) => formatWeekday(daysOfWeek.indexOf(day)));
  return text.zones.windowOf(window.from, window.until, days.length === daysOfWeek.length ? '' : formatList(names));
};
