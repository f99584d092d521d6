// What devices run, as tables whose fields lead to the devices.
import type { Stats } from '../../../api/src/index.ts';
import { formatNumber, formatShare } from '../format.ts';
import { linkTo, runnersLink } from '../location.ts';
import { text } from '../text.ts';
import { Section } from '../ui/page.tsx';
import { Scrolling } from '../ui/table.tsx';

type TypeStats = Stats['hardware_types'][number];

const columnsOfMatrix = 6;

/** Versions per hardware type, the most frequent first; a field leads to the devices that run that version. */
export const Matrix = ({ types }: { types: readonly TypeStats[] }) => (
  <Section title={text.statistics.matrix}>
    <Scrolling className="matrix" label={text.statistics.matrix}>
      <table>
        <thead>
          <tr>
            <th scope="col">{text.firmwares.type}</th>
            <th scope="col" colSpan={columnsOfMatrix}>
              {text.statistics.versionsByShare}
            </th>
            <th scope="col" className="number">
              {text.fleet.unknown}
            </th>
          </tr>
        </thead>
        <tbody>
          {types.map(({ hardware_type, versions, newest, on_unknown_version }) => (
            <tr key={hardware_type}>
              <th scope="row">{hardware_type}</th>
              {Array.from({ length: columnsOfMatrix }, (_, index) => {
                const version = versions[index];
                return version ? (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the places of a table
                  <td key={index} className={`cell heat-${heatOf(version.share)}`}>
                    <a href={runnersLink(hardware_type, version.version)}>
                      {version.firmware_id === null ? <em title={text.fleet.unknown}>{version.version}</em> : version.version}
                      {version.firmware_id === newest?.firmware_id && <span title={text.fleet.newest}> ✓</span>}
                      <span className="small">
                        {formatNumber(version.devices)} · {formatShare(version.share)}
                      </span>
                    </a>
                  </td>
                ) : (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the places of a table
                  <td key={index} />
                );
              })}
              <td className="number">
                {on_unknown_version.devices > 0 ? (
                  <a href={linkTo('/fleet', { compare: 'unknown', type: hardware_type })}>{formatNumber(on_unknown_version.devices)}</a>
                ) : (
                  '–'
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  </Section>
);

/** 0 to 4: from few to nearly all. */
export const heatOf = (share: number): number => (share >= 0.75 ? 4 : share >= 0.4 ? 3 : share >= 0.1 ? 2 : share > 0.01 ? 1 : 0);

type ZoneStats = Stats['zones'][number];

/** What devices run in each zone, of each hardware type: a version leads to the devices that run it there. */
export const ZoneMatrix = ({ zones, types }: { zones: readonly ZoneStats[]; types: readonly TypeStats[] }) => {
  if (zones.every(({ zone }) => zone === null)) return null;
  return (
    <Section title={text.statistics.byZone}>
      <Scrolling className="matrix" label={text.statistics.byZone}>
        <table>
          <thead>
            <tr>
              <th scope="col">{text.fleet.zone}</th>
              {types.map(({ hardware_type }) => (
                <th key={hardware_type} scope="col">
                  {hardware_type}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {zones.map(({ zone, hardware_types }) => (
              <tr key={zone ?? ''}>
                <th scope="row">{zone ?? text.zones.without}</th>
                {types.map((type) => (
                  <ZoneCell
                    key={type.hardware_type}
                    zone={zone}
                    type={type}
                    here={hardware_types.find(({ hardware_type }) => hardware_type === type.hardware_type)}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolling>
    </Section>
  );
};

const versionsInCell = 3;

/** Coloured by the share of its devices that run the newest version. */
const ZoneCell = ({
  zone,
  type: { hardware_type, newest },
  here,
}: {
  zone: string | null;
  type: TypeStats;
  here: ZoneStats['hardware_types'][number] | undefined;
}) => {
  if (!here) return <td />;
  const onNewest = here.versions.find(({ version }) => version === newest?.version)?.devices ?? 0;
  return (
    <td className={`heat-${heatOf(onNewest / Math.max(1, here.devices))}`}>
      <ul>
        {here.versions.slice(0, versionsInCell).map(({ version, devices }) => (
          <li key={version} className="number">
            <a href={runnersLink(hardware_type, version, { zone: zone ?? 'none' })}>{version}</a>{' '}
            <span className="beside">{formatShare(devices / Math.max(1, here.devices))}</span>
          </li>
        ))}
      </ul>
    </td>
  );
};
