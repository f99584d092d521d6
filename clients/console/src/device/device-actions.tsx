// What can be done with a device, beside updating it.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { ChangeDeviceBody, DeviceWithHistory } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { wordsOf } from '../filter/filter.ts';
import { text } from '../text.ts';
import { Button, Field, Select } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { useZones } from '../ui/zones.ts';

const scope = 'devices:write';

export const DeviceActions = ({ device }: { device: DeviceWithHistory }) => {
  const [open, setOpen] = useState<'token' | 'change' | 'retire'>();
  const close = () => setOpen(undefined);
  return (
    <>
      {device.channel === 'iot' && (
        <Button scope={scope} onClick={() => setOpen('token')}>
          {text.device.newToken}
        </Button>
      )}
      <Button scope={scope} onClick={() => setOpen('change')}>
        {text.zones.change}
      </Button>
      <Button scope={scope} kind={device.retired_dt === null ? 'danger' : 'plain'} onClick={() => setOpen('retire')}>
        {device.retired_dt === null ? text.device.retire : text.device.takeBack}
      </Button>
      {open === 'token' && <Token device={device} onClose={close} />}
      {open === 'change' && <Change device={device} onClose={close} />}
      {open === 'retire' && <Retire device={device} onClose={close} />}
    </>
  );
};

interface DialogProps {
  device: DeviceWithHistory;
  onClose: () => void;
}

const useChange = ({ device: { kind, external_id }, onClose }: DialogProps) => {
  const api = useApi();
  const cache = useQueryClient();
  return useMutation({
    mutationFn: (change: ChangeDeviceBody) => api.changeDevice(kind, external_id, change),
    onSuccess: async () => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['device', kind, external_id] });
    },
  });
};

/** Where it stands, and what it is called. */
const Change = (props: DialogProps) => {
  const { device, onClose } = props;
  const zones = useZones();
  const [zone, setZone] = useState(device.zone ?? '');
  const [tags, setTags] = useState(device.tags.join(' '));
  const [revision, setRevision] = useState(device.revision ?? '');
  const { mutate, isPending, error } = useChange(props);
  const save = () => mutate({ zone: zone || null, tags: wordsOf(tags), revision: revision.trim() || null });
  return (
    <Confirmation title={text.device.changeTitle(device.external_id)} act={text.zones.save} {...{ onAct: save, onClose, isPending, error }}>
      <Select
        label={text.fleet.zone}
        value={zone}
        any={text.zones.without}
        options={zones.map(({ name }) => ({ value: name, label: name }))}
        onChange={setZone}
      />
      <Field label={text.device.tags} hint={text.device.tagsHint}>
        {(ids) => <input {...ids} type="text" value={tags} onChange={(event) => setTags(event.target.value)} />}
      </Field>
      <Field label={text.device.revision}>
        {(ids) => <input {...ids} type="text" maxLength={64} value={revision} onChange={(event) => setRevision(event.target.value)} />}
      </Field>
    </Confirmation>
  );
};

const Retire = (props: DialogProps) => {
  const { device, onClose } = props;
  const { mutate, isPending, error } = useChange(props);
  const isRetired = device.retired_dt !== null;
  return (
    <Confirmation
      title={isRetired ? text.device.takeBackTitle(device.external_id) : text.device.retireTitle(device.external_id)}
      act={isRetired ? text.device.takeBack : text.device.retire}
      kind={isRetired ? 'primary' : 'danger'}
      {...{ onAct: () => mutate({ retired: !isRetired }), onClose, isPending, error }}
    >
      <p>{isRetired ? text.device.takeBackSays : text.device.retireSays}</p>
    </Confirmation>
  );
};

/** Shown once, and nowhere kept. */
const Token = ({ device: { kind, external_id }, onClose }: DialogProps) => {
  const api = useApi();
  const { mutate, data, isPending, error } = useMutation({ mutationFn: () => api.issueDeviceToken(kind, external_id) });
  return (
    <Confirmation
      title={text.device.tokenTitle(external_id)}
      act={text.device.newToken}
      kind="danger"
      isBlocked={data !== undefined}
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      {data ? (
        <>
          <p>{text.device.tokenOnce}</p>
          <p>
            <code className="secret">{data.token}</code>
          </p>
        </>
      ) : (
        <p>{text.device.tokenSays}</p>
      )}
    </Confirmation>
  );
};
