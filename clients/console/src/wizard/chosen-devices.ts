// Devices that were ticked on one page and are updated on another. They do not fit into an address.
const key = 'scooters-updater.chosen-devices';

export const keepChosen = (external_ids: readonly string[]): void => sessionStorage.setItem(key, external_ids.join('\n'));
export const takeChosen = (): string => {
  const chosen = sessionStorage.getItem(key) ?? '';
  sessionStorage.removeItem(key);
  return chosen;
};
