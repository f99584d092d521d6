import { useId } from 'react';
import { text } from '../text.ts';
import { Field, NumberField, Select, TextField } from '../ui/controls.tsx';
import { useAvailableFirmwares } from '../ui/firmwares.ts';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { useZones } from '../ui/zones.ts';
import type { FilterDraft, WrongFilter } from './filter.ts';

interface FieldsProps {
  draft: FilterDraft;
  wrong: WrongFilter;
  change: (changes: Partial<FilterDraft>) => void;
  /** An update has devices of one kind, and none that are retired. */
  isOfUpdate?: boolean;
}

/** The conditions that are asked for often, and below them the others. */
export const FilterFields = (props: FieldsProps) => {
  const { draft, change, isOfUpdate = false } = props;
  const zones = useZones();
  const isOpenAtFirst = rare.some((field) => draft[field] !== '');
  return (
    <>
      <div className="fields">
        <Select
          label={text.fleet.kind}
          value={draft.kind}
          {...(!isOfUpdate && { any: text.filters.any })}
          options={(['scooter', 'cabinet'] as const).map((value) => ({ value, label: text.kinds[value] }))}
          onChange={(value) => change({ kind: value as FilterDraft['kind'] })}
        />
        <TextField label={text.fleet.search} value={draft.id} onChange={(id) => change({ id })} placeholder="S-00" />
        {(zones.length > 0 || draft.zone !== '') && (
          <Select
            label={text.fleet.zone}
            value={draft.zone}
            any={text.filters.any}
            options={[...zones.map(({ name }) => ({ value: name, label: name })), { value: 'none', label: text.zones.without }]}
            onChange={(zone) => change({ zone })}
          />
        )}
        <TextField label={text.filters.tags} hint={text.filters.tagsHint} value={draft.tags} onChange={(tags) => change({ tags })} />
        <VersionFields {...props} />
      </div>
      <details className="further" open={isOpenAtFirst}>
        <summary>{text.filters.further}</summary>
        <RareFields {...props} />
      </details>
    </>
  );
};

const rare = ['generation', 'channel', 'any_tags', 'no_tags', 'revision', 'not_seen_days', 'retired'] as const;

const RareFields = ({ draft, wrong, change, isOfUpdate = false }: FieldsProps) => (
  <div className="fields">
    {draft.kind !== 'cabinet' && (
      <Select
        label={text.fleet.generation}
        value={draft.generation}
        any={text.filters.any}
        options={[
          { value: '1', label: '1' },
          { value: '2', label: '2' },
          { value: 'none', label: text.fleet.ownIot },
        ]}
        onChange={(value) => change({ generation: value as FilterDraft['generation'] })}
      />
    )}
    <Select
      label={text.fleet.channel}
      value={draft.channel}
      any={text.filters.any}
      options={(['telematics', 'iot'] as const).map((value) => ({ value, label: text.channels[value] }))}
      onChange={(value) => change({ channel: value as FilterDraft['channel'] })}
    />
    <TextField label={text.filters.anyTags} value={draft.any_tags} onChange={(any_tags) => change({ any_tags })} />
    <TextField label={text.filters.noTags} value={draft.no_tags} onChange={(no_tags) => change({ no_tags })} />
    <TextField label={text.device.revision} value={draft.revision} onChange={(revision) => change({ revision })} />
    <NumberField
      label={text.fleet.notSeen}
      unit={text.filters.days}
      error={wrong.not_seen_days && text.filters.wrong[wrong.not_seen_days]}
      {...{ minimum: 1, maximum: 3_650, value: draft.not_seen_days, onChange: (not_seen_days: string) => change({ not_seen_days }) }}
    />
    {!isOfUpdate && (
      <Select
        label={text.filters.service}
        value={draft.retired}
        any={text.filters.any}
        options={[
          { value: 'false', label: text.filters.inService },
          { value: 'true', label: text.filters.retired },
        ]}
        onChange={(value) => change({ retired: value as FilterDraft['retired'] })}
      />
    )}
  </div>
);

/** What they run: which comparison, of which hardware type, with which version. */
const VersionFields = ({ draft, wrong, change }: FieldsProps) => {
  const hardwareTypes = useHardwareTypes().filter(({ device_kind }) => draft.kind === '' || device_kind === draft.kind);
  const firmwares = useAvailableFirmwares();
  const versions = (firmwares.data ?? []).filter(({ hardware_type }) => hardware_type === draft.type).map(({ version }) => version);
  const list = useId();
  return (
    <>
      <Select
        label={text.filters.version}
        value={draft.compare}
        any={text.filters.any}
        options={(['running', 'not_running', 'older', 'unknown'] as const).map((value) => ({ value, label: text.filters.compare[value] }))}
        onChange={(value) => change({ compare: value as FilterDraft['compare'], ...(value === '' && { type: '', of: '' }) })}
      />
      {draft.compare !== '' && (
        <Select
          label={text.filters.type}
          value={draft.type}
          any={text.wizard.choose}
          options={hardwareTypes.map(({ name }) => ({ value: name, label: name }))}
          onChange={(type) => change({ type, of: '' })}
        />
      )}
      {draft.compare !== '' && draft.compare !== 'unknown' && draft.type !== '' && (
        <Field label={text.filters.of[draft.compare]} error={wrong.of && draft.of !== '' ? text.filters.wrong[wrong.of] : undefined}>
          {(ids) => (
            <>
              <input {...ids} type="text" list={list} value={draft.of} onChange={(event) => change({ of: event.target.value })} />
              <datalist id={list}>
                {versions.map((version) => (
                  <option key={version} value={version} />
                ))}
              </datalist>
            </>
          )}
        </Field>
      )}
    </>
  );
};
