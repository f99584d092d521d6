// Light or dark: as the system has it, or as somebody has chosen here.
const key = 'scooters-updater.theme';

export type Theme = 'system' | 'light' | 'dark';
export const themes: readonly Theme[] = ['system', 'light', 'dark'];

export const readTheme = (): Theme => {
  const kept = localStorage.getItem(key);
  return themes.find((theme) => theme === kept) ?? 'system';
};

export const showTheme = (theme: Theme = readTheme()): void => {
  localStorage.setItem(key, theme);
  document.documentElement.dataset['theme'] = theme;
};
