import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Zone } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatNumber } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Button, Field, NumberField } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { TimeThere } from '../ui/time.tsx';
import { fromWindow, isWindow, toWindow, type WindowDraft } from '../ui/window.ts';
import { WindowFields, windowText } from '../ui/window-fields.tsx';

const scope = 'devices:write';

export const ZonesPage = () => {
  const api = useApi();
  const [opened, setOpened] = useState<Zone | 'new'>();
  const [removedName, setRemovedName] = useState<string>();
  const list = useList(['zones'], (page, options) => api.listZones(page, options));
  const removed = list.items?.find(({ name }) => name === removedName);
  /** How many devices are in it decides whether it can go, so that is asked for anew. */
  const askToRemove = ({ name }: Zone) => {
    setRemovedName(name);
    void list.refetch();
  };
  const columns: readonly Column<Zone>[] = [
    { title: text.zones.name, cell: ({ name }) => name, isName: true },
    {
      title: text.updates.devices,
      cell: ({ name, devices }) => <a href={linkTo('/fleet', { zone: name })}>{formatNumber(devices)}</a>,
      isNumber: true,
    },
    { title: text.zones.budget, cell: ({ maximum_unavailable_percentage: percentage }) => `${formatNumber(percentage)} %`, isNumber: true },
    { title: text.zones.window, cell: ({ maintenance_window }) => windowText(maintenance_window) },
    {
      title: text.zones.hereNow,
      cell: ({ time_zone }) => (
        <>
          <TimeThere timeZone={time_zone} /> <span className="small">{time_zone}</span>
        </>
      ),
      isMinor: true,
    },
    { title: text.updates.comment, cell: ({ comment }) => <span className="cut">{comment}</span>, isMinor: true },
    {
      title: text.zones.actions,
      cell: (zone) => (
        <span className="row-actions">
          <Button scope={scope} aria-label={text.zones.changeTitle(zone.name)} onClick={() => setOpened(zone)}>
            {text.zones.change}
          </Button>
          <Button kind="danger" scope={scope} aria-label={text.zones.removeTitle(zone.name)} onClick={() => askToRemove(zone)}>
            {text.zones.remove}
          </Button>
        </span>
      ),
    },
  ];
  return (
    <Page
      title={text.zones.title}
      lead={text.zones.lead}
      actions={
        <Button kind="primary" scope={scope} onClick={() => setOpened('new')}>
          {text.zones.add}
        </Button>
      }
    >
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty>{text.zones.none}</Empty>
          ) : (
            <>
              <Table label={text.zones.title} columns={columns} rows={items} keyOf={({ name }) => name} />
              <More query={list} />
            </>
          )
        }
      </Answer>
      {opened !== undefined && <ZoneDialog zone={opened === 'new' ? undefined : opened} onClose={() => setOpened(undefined)} />}
      {removed && <RemoveZone zone={removed} onClose={() => setRemovedName(undefined)} />}
    </Page>
  );
};

const ZoneDialog = ({ zone, onClose }: { zone: Zone | undefined; onClose: () => void }) => {
  const api = useApi();
  const cache = useQueryClient();
  const [name, setName] = useState(zone?.name ?? '');
  const [timeZone, setTimeZone] = useState(zone?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
  const [budget, setBudget] = useState(String(zone?.maximum_unavailable_percentage ?? 100));
  const [window, setWindow] = useState<WindowDraft>(() => fromWindow(zone?.maintenance_window ?? null));
  const [comment, setComment] = useState(zone?.comment ?? '');
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => {
      const settings = {
        ...{ time_zone: timeZone, maximum_unavailable_percentage: Number(budget), comment },
        maintenance_window: toWindow(window),
      };
      return zone ? api.changeZone(zone.name, settings) : api.addZone({ name, ...settings });
    },
    onSuccess: async () => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['zones'] });
    },
  });
  return (
    <Confirmation
      title={zone ? text.zones.changeTitle(zone.name) : text.zones.add}
      act={text.zones.save}
      isBlocked={name === '' || timeZone === '' || budget === '' || !isWindow(window)}
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      {!zone && (
        <Field label={text.zones.name}>
          {(ids) => <input {...ids} type="text" maxLength={64} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
      )}
      <Field label={text.zones.timeZone}>
        {(ids) => (
          <>
            <input {...ids} type="text" list="time-zones" value={timeZone} onChange={(event) => setTimeZone(event.target.value)} />
            <datalist id="time-zones">
              {Intl.supportedValuesOf('timeZone').map((each) => (
                <option key={each} value={each} />
              ))}
            </datalist>
          </>
        )}
      </Field>
      <NumberField label={text.zones.budget} unit="%" step="any" {...{ minimum: 0, maximum: 100, value: budget, onChange: setBudget }} />
      <div className="fields">
        <WindowFields draft={window} onChange={setWindow} hint={text.zones.windowHint} />
      </div>
      <Field label={text.updates.comment}>
        {(ids) => <input {...ids} type="text" maxLength={2000} value={comment} onChange={(event) => setComment(event.target.value)} />}
      </Field>
    </Confirmation>
  );
};

/** The service refuses it while a device is in the zone, a retired one too, which `devices` does not count. */
const RemoveZone = ({ zone: { name, devices }, onClose }: { zone: Zone; onClose: () => void }) => {
  const api = useApi();
  const cache = useQueryClient();
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.deleteZone(name),
    onSuccess: async () => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['zones'] });
    },
  });
  return (
    <Confirmation
      title={text.zones.removeTitle(name)}
      act={text.zones.remove}
      kind="danger"
      isBlocked={devices > 0}
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      {devices > 0 ? (
        <p>
          {text.zones.removeRefused(devices)} <a href={linkTo('/fleet', { zone: name })}>{text.zones.seeDevices}</a>
        </p>
      ) : (
        <p>{text.zones.removeSays}</p>
      )}
    </Confirmation>
  );
};
