import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PairPools } from "./pair-pools.ts";

const step = fc.oneof(
  fc.record({
    type: fc.constant("join" as const),
    id: fc.constantFrom("p", "q", "r", "s"),
    pool: fc.constantFrom("x", "y"),
  }),
  fc.record({ type: fc.constant("leave" as const), which: fc.nat() }),
);

test("PairPools gives two peers each other once, those first who have waited longest, and tells when one leaves", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const pools = new PairPools();
      let count = 0;
      /** Seats that are taken, in the order in which they were. */
      const seats = new Map<string, { id: string; pool: string; partner: string | undefined }>();
      const end = (ticket: string): void => {
        const partner = seats.get(ticket)?.partner;
        seats.delete(ticket);
        if (partner !== undefined) {
          seats.delete(partner);
        }
      };
      for (const each of steps) {
        if (each.type === "leave") {
          const ticket = String(each.which % (count + 1));
          const partner = seats.get(ticket)?.partner;
          const news = pools.leave(ticket);
          assert.deepEqual(news, partner === undefined ? [] : [{ type: "left", ticket: partner }]);
          end(ticket);
        } else {
          count += 1;
          const ticket = String(count);
          const { id, pool } = each;
          const older = [...seats].find(([, seat]) => seat.id === id && seat.pool === pool);
          const left = older?.[1].partner;
          if (older !== undefined) {
            end(older[0]);
          }
          const first = [...seats].find(
            ([, seat]) => seat.pool === pool && seat.partner === undefined,
          );
          seats.set(ticket, { id, pool, partner: first?.[0] });
          if (first !== undefined) {
            first[1].partner = ticket;
          }
          const news = pools.join({ namespace: "", pool, id, ticket }, `pair ${ticket}`);
          assert.deepEqual(news, [
            ...(left === undefined ? [] : [{ type: "left", ticket: left }]),
            ...(older === undefined ? [] : [{ type: "replaced", ticket: older[0] }]),
            ...(first === undefined
              ? []
              : [
                  {
                    type: "paired",
                    ticket: first[0],
                    pairId: `pair ${ticket}`,
                    partner: id,
                    first: true,
                  },
                  {
                    type: "paired",
                    ticket,
                    pairId: `pair ${ticket}`,
                    partner: first[1].id,
                    first: false,
                  },
                ]),
          ]);
        }
        assert.equal(pools.size, seats.size);
      }
    }),
    { numRuns: 300 },
  );
});
