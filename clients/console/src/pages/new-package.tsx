import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { FirmwareListItem } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { goTo } from '../location.ts';
import {
  emptyPackage,
  emptyPart,
  findWrongInPackage,
  type Handler,
  movedUp,
  type PackageDraft,
  type PartDraft,
  requestOfPackage,
} from '../package/package-draft.ts';
import { text } from '../text.ts';
import { Button, CommentField, Field, Select } from '../ui/controls.tsx';
import { useAvailableFirmwares } from '../ui/firmwares.ts';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { Page } from '../ui/page.tsx';
import { Failure } from '../ui/states.tsx';

export const NewPackagePage = () => {
  const api = useApi();
  const cache = useQueryClient();
  const [draft, setDraft] = useState<PackageDraft>(() => emptyPackage(crypto.randomUUID()));
  const change = (changes: Partial<PackageDraft>) => setDraft((before) => ({ ...before, ...changes }));
  const [key] = useState(() => crypto.randomUUID());
  const wrong = findWrongInPackage(draft);
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.requestAssembly(requestOfPackage(draft), { 'idempotency-key': key }),
    onSuccess: async () => {
      await cache.invalidateQueries({ queryKey: ['packages'] });
      goTo('/packages');
    },
  });
  return (
    <Page title={text.packages.add} lead={text.packages.lead}>
      <form
        className="wizard"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (wrong === undefined) mutate();
        }}
      >
        <WhatItIs draft={draft} change={change} />
        <Parts parts={draft.parts} onChange={(parts) => change({ parts })} />
        <section className="step summary" aria-label={text.wizard.summary}>
          <p className="situation" aria-live="polite">
            {wrong === undefined ? text.packages.sentence(draft) : text.packages.wrong[wrong]}
          </p>
          {error && <Failure error={error} />}
          <Button type="submit" kind="primary" scope="firmware:write" disabled={wrong !== undefined || isPending}>
            {text.packages.make}
          </Button>
        </section>
      </form>
    </Page>
  );
};

const WhatItIs = ({ draft, change }: { draft: PackageDraft; change: (changes: Partial<PackageDraft>) => void }) => {
  // Devices that poll install packages.
  const types = useHardwareTypes().filter(({ channel }) => channel === 'iot');
  return (
    <section className="step" aria-label={text.packages.package}>
      <h2>{text.packages.package}</h2>
      <div className="fields">
        <Select
          label={text.firmwares.type}
          value={draft.hardware_type}
          any={text.wizard.choose}
          hint={text.packages.typeHint}
          options={types.map(({ name }) => ({ value: name, label: name }))}
          onChange={(hardware_type) => change({ hardware_type })}
        />
        <Field label={text.firmwares.version}>
          {(ids) => (
            <input
              {...ids}
              type="text"
              maxLength={64}
              value={draft.version}
              onChange={(event) => change({ version: event.target.value })}
            />
          )}
        </Field>
        <Field label={text.packages.revisions} hint={text.packages.revisionsHint}>
          {(ids) => <input {...ids} type="text" value={draft.revisions} onChange={(event) => change({ revisions: event.target.value })} />}
        </Field>
        <CommentField className="wide" value={draft.comment} onChange={(comment) => change({ comment })} />
      </div>
      <label className="check">
        <input type="checkbox" checked={draft.signed} onChange={(event) => change({ signed: event.target.checked })} />{' '}
        {text.packages.isSigned}
      </label>
    </section>
  );
};

const Parts = ({ parts, onChange }: { parts: readonly PartDraft[]; onChange: (parts: readonly PartDraft[]) => void }) => {
  const firmwares = useAvailableFirmwares();
  return (
    <section className="step" aria-label={text.packages.parts}>
      <h2>{text.packages.parts}</h2>
      <p className="note">{text.packages.order}</p>
      <ol className="parts">
        {parts.map((part, index) => (
          <PartFields
            key={part.key}
            part={part}
            number={index + 1}
            firmwares={firmwares.data ?? []}
            taken={parts.filter((other) => other !== part)}
            onChange={(changes) => onChange(parts.map((each) => (each === part ? { ...part, ...changes } : each)))}
            onRemove={() => onChange(parts.filter((other) => other !== part))}
            onMoveUp={index === 0 ? undefined : () => onChange(movedUp(parts, part.key))}
          />
        ))}
      </ol>
      <button type="button" onClick={() => onChange([...parts, emptyPart(crypto.randomUUID())])}>
        {text.packages.addPart}
      </button>
    </section>
  );
};

const PartFields = ({
  part,
  number,
  firmwares,
  taken,
  onChange,
  onRemove,
  onMoveUp,
}: {
  part: PartDraft;
  number: number;
  firmwares: readonly FirmwareListItem[];
  /** The other parts: a package has one for each hardware type. */
  taken: readonly PartDraft[];
  onChange: (changes: Partial<PartDraft>) => void;
  onRemove: () => void;
  onMoveUp: (() => void) | undefined;
}) => {
  const typeOf = (id: number | null) => firmwares.find((firmware) => firmware.id === id)?.hardware_type;
  const takenTypes = new Set(taken.map(({ firmwareId }) => typeOf(firmwareId)));
  const { firmwareId, handler, place } = part;
  return (
    <li>
      <fieldset className="fields">
        <legend className="visually-hidden">{text.packages.part(number)}</legend>
        <Select
          label={text.firmwares.title}
          value={firmwareId === null ? '' : String(firmwareId)}
          any={text.wizard.choose}
          options={firmwares
            .filter(({ hardware_type }) => !takenTypes.has(hardware_type))
            .map(({ id, hardware_type, version }) => ({ value: String(id), label: `${hardware_type} ${version}` }))}
          onChange={(id) => onChange({ firmwareId: id === '' ? null : Number(id) })}
        />
        <Select
          label={text.packages.handler}
          value={handler}
          options={(['rawfile', 'archive', 'raw'] as const).map((value) => ({ value, label: text.packages.handlers[value] }))}
          onChange={(value) => onChange({ handler: value as Handler })}
        />
        <Field label={text.packages.places[handler]}>
          {(ids) => (
            <input
              {...ids}
              type="text"
              maxLength={240}
              placeholder={handler === 'rawfile' && firmwareId !== null ? `/lib/firmware/${typeOf(firmwareId)}.bin` : ''}
              value={place}
              onChange={(event) => onChange({ place: event.target.value })}
            />
          )}
        </Field>
        <span className="actions">
          {onMoveUp && (
            <button type="button" aria-label={text.packages.moveUp(number)} onClick={onMoveUp}>
              ↑
            </button>
          )}
          <button type="button" aria-label={text.packages.removePart(number)} onClick={onRemove}>
            {text.packages.leaveOut}
          </button>
        </span>
      </fieldset>
    </li>
  );
};
