import { DeviceKind, ExternalId } from '../fleet/device.ts';

export interface ControllerId {
  kind: DeviceKind;
  external_id: string;
}

/** What the protocol calls a device: `{kind}.{external_id}`, for example `cabinet.C-17`. undefined for what can be no device's name. */
export const parseControllerId = (text: string): ControllerId | undefined => {
  const dot = text.indexOf('.');
  const kind = DeviceKind.safeParse(text.slice(0, Math.max(0, dot)));
  const external_id = ExternalId.safeParse(text.slice(dot + 1));
  return kind.success && external_id.success ? { kind: kind.data, external_id: external_id.data } : undefined;
};

export const formatControllerId = ({ kind, external_id }: ControllerId): string => `${kind}.${external_id}`;
