// What others can make a member hold, do and show.

import type { Rate } from "./rate-limit.ts";

/** UTF-8 bytes of what is said at once. */
export const maxTextBytes = 4_000;
/** Any message of the protocol, in bytes: FollowRequest is the largest. */
export const maxMessageBytes = 16_384;
/** Messages of a room that are kept and handed on: together, and of one author, who so cannot push out all others. */
export const maxHistory = 200;
export const maxHistoryOfAuthor = 100;
/** Others in a room who follow this member. */
export const maxMembers = 64;
/** Those that are dialed or were heard of, too. */
export const maxContacts = 128;
/** Addresses in the ticket of a member, and its size in bytes. */
export const maxAddrs = 16;
export const maxTicketBytes = 1_024;
/** What waits for a member that reads slowly; then it has to come again. */
export const maxWaiting = 500;
/** Peers that broke the protocol and are not spoken with again. */
export const maxShutOut = 1_000;

/** How far a message may be ahead of the clock here. */
export const clockToleranceMs = 300_000;

/** At what rate this member says things. */
export const ownRate: Rate = { burst: 5, perSecond: 5 };
/**
 * What is taken of an author, the rest is dropped. Far above the own rate: what was held up on the way arrives at once.
 */
export const authorRate: Rate = { burst: 60, perSecond: 10 };
/** How fast news is read from a member: what is faster waits there. */
export const newsRate: Rate = { burst: 200, perSecond: 50 };
/** How often a peer may begin to follow a room, which gives it the history. */
export const followRate: Rate = { burst: 10, perSecond: 0.2 };
