package main

import (
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const measuredCalls = 2_000

// measure returns the median time of a call of Echo with 100 bytes, one at a time, in microseconds.
func measure(direct, tunnel grpc.ClientConnInterface) map[string]any {
	medians := map[string]any{}
	for name, channel := range map[string]grpc.ClientConnInterface{"direct": direct, "tunnel": tunnel} {
		var times []time.Duration
		for call := range 2 * measuredCalls {
			start := time.Now()
			err := channel.Invoke(within(), path("Echo"), wrapperspb.Bytes(make([]byte, 100)), new(message))
			if err != nil {
				fail(err)
			}
			if call >= measuredCalls {
				times = append(times, time.Since(start))
			}
		}
		slices.Sort(times)
		medians[name] = float64(times[len(times)/2].Nanoseconds()) / 1e3
	}
	return medians
}
