import { Option } from 'commander';

/** In which order a list comes; the API's own names, which say the field and the direction. */
export const sortOption = <Order extends string>(orders: readonly Order[]): Option =>
  new Option('--sort <order>', 'in this order').choices(orders);
