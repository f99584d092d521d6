import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { FirmwareDownload, Update } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { StatusBarPlain } from '../charts/status-bar.tsx';
import { formatBytes, formatDuration, formatList, formatNumber } from '../format.ts';
import { goTo, linkTo, runnersLink } from '../location.ts';
import { text } from '../text.ts';
import { Button, ButtonLink, Field } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { useList } from '../ui/list.ts';
import { Facts, Page, Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { FirmwareBadge } from '../ui/status.tsx';
import { More } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { pollList } from '../update/situation.ts';
import { addUp, verdictOf } from '../update/verdict.ts';
import { ChangesLink } from './audit.tsx';
import { UpdateTable } from './updates.tsx';

export const FirmwarePage = ({ id }: { id: number }) => {
  const api = useApi();
  const query = useQuery({ queryKey: ['firmwares', 'one', id], queryFn: ({ signal }) => api.getFirmware(id, { signal }) });
  const firmware = query.data;
  return (
    <Page
      title={firmware ? `${firmware.hardware_type} ${firmware.version}` : text.firmwares.one(id)}
      lead={
        firmware && (
          <>
            <FirmwareBadge status={firmware.status} />
            {firmware.comment && ` · ${firmware.comment}`}
          </>
        )
      }
      actions={firmware && <Actions firmware={firmware} />}
    >
      <Answer query={query} lines={8}>
        {(data) => <FirmwareBody firmware={data} />}
      </Answer>
    </Page>
  );
};

const Actions = ({ firmware }: { firmware: FirmwareDownload }) => {
  const [isOpen, setOpen] = useState(false);
  if (wasNeverOut(firmware))
    return (
      <>
        <Button kind="danger" scope="firmware:write" onClick={() => setOpen(true)}>
          {text.firmwares.remove}
        </Button>
        {isOpen && <Remove firmware={firmware} onClose={() => setOpen(false)} />}
      </>
    );
  if (firmware.status !== 'available') return null;
  return (
    <>
      <Button kind="danger" scope="firmware:write" onClick={() => setOpen(true)}>
        {text.firmwares.withdraw}
      </Button>
      {firmware.download_url && (
        <a className="button plain" href={firmware.download_url}>
          {text.firmwares.download}
        </a>
      )}
      <ButtonLink kind="primary" scope="updates:write" href={linkTo('/updates/new', { firmware: String(firmware.id) })}>
        {text.firmwares.updateWith}
      </ButtonLink>
      {isOpen && <Withdraw firmware={firmware} onClose={() => setOpen(false)} />}
    </>
  );
};

/** No device has ever had its file. */
const wasNeverOut = ({ status }: Pick<FirmwareDownload, 'status'>): boolean =>
  status === 'awaiting_upload' || status === 'awaiting_signature' || status === 'rejected';

const Remove = ({ firmware, onClose }: { firmware: FirmwareDownload; onClose: () => void }) => {
  const api = useApi();
  const cache = useQueryClient();
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.deleteFirmware(firmware.id),
    onSuccess: async () => {
      onClose();
      goTo('/firmwares');
      await cache.invalidateQueries({ queryKey: ['firmwares'] });
    },
  });
  return (
    <Confirmation
      title={text.firmwares.removeTitle(firmware.hardware_type, firmware.version)}
      act={text.firmwares.remove}
      kind="danger"
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      <p>{text.firmwares.removeSays}</p>
    </Confirmation>
  );
};

const Withdraw = ({ firmware, onClose }: { firmware: FirmwareDownload; onClose: () => void }) => {
  const api = useApi();
  const cache = useQueryClient();
  const [reason, setReason] = useState('');
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.editFirmware(firmware.id, { status: 'withdrawn', ...(reason && { reason }) }),
    onSuccess: async () => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['firmwares'] });
    },
  });
  return (
    <Confirmation
      title={text.firmwares.withdrawTitle(firmware.hardware_type, firmware.version)}
      act={text.firmwares.withdraw}
      kind="danger"
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      <p>{text.firmwares.withdrawSays(firmware.device_count)}</p>
      <Field label={text.controls.reason} hint={text.controls.reasonHint}>
        {(ids) => <input {...ids} type="text" maxLength={500} value={reason} onChange={(event) => setReason(event.target.value)} />}
      </Field>
    </Confirmation>
  );
};

const FirmwareBody = ({ firmware }: { firmware: FirmwareDownload }) => {
  const api = useApi();
  const updates = useList(
    ['updates', 'of firmware', firmware.id],
    (page, options) => api.listUpdates({ ...page, firmware_id: firmware.id }, options),
    // Of one that never was available the service says that there is none to ask for.
    { limit: 100, pollMilliseconds: (items) => pollList(items, 10_000), isEnabled: !wasNeverOut(firmware) },
  );
  const { data: stats } = useQuery({
    queryKey: ['stats', 'of firmware'],
    queryFn: ({ signal }) => api.getStats({}, { signal }),
    staleTime: 30_000,
  });
  const times = stats?.hardware_types
    .find(({ hardware_type }) => hardware_type === firmware.hardware_type)
    ?.firmware_update_times.find(({ firmware_id }) => firmware_id === firmware.id);
  return (
    <>
      {firmware.status === 'awaiting_upload' && <p className="situation">{text.firmwares.awaitsFile}</p>}
      <AwaitsSignatures firmware={firmware} />
      <Verdict firmware={firmware} updates={updates.items} />
      <Section title={text.firmwares.facts} aside={<ChangesLink resource="firmware" id={String(firmware.id)} />}>
        <Facts
          items={[
            [
              text.firmwares.devices,
              <a key="devices" href={runnersLink(firmware.hardware_type, firmware.version)}>
                {formatNumber(firmware.device_count)}
              </a>,
            ],
            [text.firmwares.size, firmware.size_bytes === null ? null : formatBytes(firmware.size_bytes)],
            [text.firmwares.ordinal, firmware.version_num],
            ['SHA-256', firmware.sha256 && <code>{firmware.sha256}</code>],
            [text.firmwares.whyStatus, firmware.reason],
            [text.firmwares.uploadExpires, firmware.upload_expires_dt && <Time key="expires" dt={firmware.upload_expires_dt} />],
            [text.firmwares.signedBy, formatList(signersOf(firmware))],
            [
              text.firmwares.package,
              firmware.assembly_id !== null && (
                <a key="package" href={linkTo('/packages')}>
                  {text.firmwares.isPackage(firmware.assembly_id)}
                </a>
              ),
            ],
            [
              text.firmwares.requires,
              firmware.requires.map(({ hardware_type, minimum_version_num }) => `${hardware_type} ≥ ${minimum_version_num}`).join(', '),
            ],
            [text.firmwares.over, firmware.minimum_from_version_num],
            [text.firmwares.revisions, firmware.revisions?.join(', ')],
            [
              text.statistics.updateTime,
              times && text.statistics.times(formatDuration(times.p50_seconds), formatDuration(times.p90_seconds), times.installations),
            ],
            [text.firmwares.added, <Time key="added" dt={firmware.created_dt} />],
            [text.firmwares.addedBy, firmware.created_by],
          ]}
        />
      </Section>
      {!wasNeverOut(firmware) && (
        <Section title={text.firmwares.updates}>
          <Answer query={{ ...updates, data: updates.items }} lines={3}>
            {(items) =>
              items.length === 0 ? (
                <Empty>{text.firmwares.noUpdates}</Empty>
              ) : (
                <>
                  <UpdateTable updates={items} />
                  <More query={updates} />
                </>
              )
            }
          </Answer>
        </Section>
      )}
    </>
  );
};

/** What it waits for before anybody can be updated to it, and who has signed already. */
const AwaitsSignatures = ({ firmware }: { firmware: FirmwareDownload }) => {
  const required = useHardwareTypes().find(({ name }) => name === firmware.hardware_type)?.author_signatures_required;
  if (firmware.status !== 'awaiting_signature' || required === undefined) return null;
  const owners = signersOf(firmware);
  return (
    <div className="situation">
      <p>{text.firmwares.awaitsSignatures(owners, required, firmware.hardware_type)}</p>
      <p className="small">
        {text.firmwares.howToSign}{' '}
        <code>
          scu firmware sign FILE --type {firmware.hardware_type} --version {firmware.version} --key KEY --firmware {firmware.id}
        </code>
      </p>
    </div>
  );
};

const signersOf = ({ author_signatures }: Pick<FirmwareDownload, 'author_signatures'>): string[] => [
  ...new Set(author_signatures.filter(({ kind }) => kind === 'release').map(({ owner }) => owner)),
];

/** Is it good? As far as its updates show. */
const Verdict = ({ firmware, updates }: { firmware: FirmwareDownload; updates: readonly Update[] | undefined }) => {
  if (firmware.status !== 'available' || !updates || updates.length === 0) return null;
  const counts = addUp(updates);
  return (
    <>
      <p className="situation">{text.firmwares.verdict(verdictOf(counts), updates.length)}</p>
      <StatusBarPlain counts={counts} />
    </>
  );
};
