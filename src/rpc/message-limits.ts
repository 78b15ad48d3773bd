/**
 * Largest message that either side reads when nothing else is asked for, 16 MiB. Connect's own default is 4 GiB, which a
 * stranger could make us hold.
 */
export const defaultReadMaxBytes = 16_777_216;
