import { useState } from 'react';
import type { FirmwareListItem } from '../../../api/src/index.ts';
import { formatBytes, formatNumber } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Select } from '../ui/controls.tsx';
import type { useAvailableFirmwares } from '../ui/firmwares.ts';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { Answer, Empty } from '../ui/states.tsx';

export const FirmwareStep = ({
  firmwares,
  chosen,
  onChoose,
}: {
  firmwares: ReturnType<typeof useAvailableFirmwares>;
  chosen: FirmwareListItem | undefined;
  onChoose: (id: number | null, kind: 'scooter' | 'cabinet' | undefined) => void;
}) => {
  const hardwareTypes = useHardwareTypes();
  const [typeChosen, setType] = useState('');
  const type = chosen?.hardware_type ?? typeChosen;
  const choose = (id: number | null, name: string) => onChoose(id, hardwareTypes.find((each) => each.name === name)?.device_kind);
  return (
    <section className="step" aria-label={text.wizard.firmware}>
      <h2>{text.wizard.firmware}</h2>
      <Answer query={firmwares} lines={2}>
        {(items) => {
          const types = [...new Set(items.map(({ hardware_type }) => hardware_type))].toSorted();
          if (types.length === 0)
            return <Empty action={<a href={linkTo('/firmwares')}>{text.firmwares.upload}</a>}>{text.wizard.noFirmware}</Empty>;
          const versions = items
            .filter(({ hardware_type }) => hardware_type === type)
            .toSorted((a, b) => (b.version_num ?? 0) - (a.version_num ?? 0));
          return (
            <div className="fields">
              <Select
                label={text.firmwares.type}
                value={type}
                any={text.wizard.choose}
                options={types.map((name) => ({ value: name, label: name }))}
                onChange={(name) => {
                  setType(name);
                  choose(null, name);
                }}
              />
              <Select
                label={text.firmwares.version}
                value={chosen ? String(chosen.id) : ''}
                any={text.wizard.choose}
                options={versions.map(({ id, version }, index) => ({
                  value: String(id),
                  label: index === 0 ? text.wizard.newest(version) : version,
                }))}
                onChange={(id) => choose(id === '' ? null : Number(id), type)}
              />
              {chosen && (
                <p className="note">
                  {formatBytes(chosen.size_bytes ?? 0)} · {text.firmwares.runBy(formatNumber(chosen.device_count))}
                  {chosen.comment && ` · ${chosen.comment}`}
                </p>
              )}
            </div>
          );
        }}
      </Answer>
    </section>
  );
};
