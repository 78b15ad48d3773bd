package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const stalledCheck = "10,000 messages beside a stalled stream"

// checks are calls of BytesService, each with what has to come of it.
var checks = map[string]func(grpc.ClientConnInterface) error{
	"unary": func(channel grpc.ClientConnInterface) error {
		return echoes(channel, []byte("hello"))
	},
	"metadata": func(channel grpc.ClientConnInterface) error {
		ctx := metadata.AppendToOutgoingContext(within(), "x-note", "a", "x-note", "b", "x-note-bin", "größer")
		var header, trailer metadata.MD
		err := channel.Invoke(ctx, path("Echo"), wrapperspb.Bytes(nil), new(message), grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil {
			return err
		}
		for _, found := range [][]string{header.Get("x-note"), trailer.Get("x-noted")} {
			if fmt.Sprint(found) != "[a, b]" && fmt.Sprint(found) != "[a b]" {
				return fmt.Errorf("x-note: %q", found)
			}
		}
		for _, found := range [][]string{header.Get("x-note-bin"), trailer.Get("x-noted-bin")} {
			if fmt.Sprint(found) != "[größer]" {
				return fmt.Errorf("x-note-bin: %q", found)
			}
		}
		return nil
	},
	"1 MB": func(channel grpc.ClientConnInterface) error {
		return echoes(channel, bytes.Repeat([]byte("0123456789"), 100_000))
	},
	"server stream": func(channel grpc.ClientConnInterface) error {
		return repeats(channel, 100, 70_000)
	},
	"client stream": func(channel grpc.ClientConnInterface) error {
		stream, err := open(within(), channel, "Collect", false, true)
		if err != nil {
			return err
		}
		for number := range 100 {
			if err := stream.SendMsg(wrapperspb.Bytes(filled(number, 70_000))); err != nil {
				return err
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		answer := new(message)
		if err := stream.RecvMsg(answer); err != nil {
			return err
		}
		if string(answer.Value) != "100 7000000" {
			return fmt.Errorf("collected %s", answer.Value)
		}
		return nil
	},
	"both ways": func(channel grpc.ClientConnInterface) error {
		stream, err := open(within(), channel, "Converse", true, true)
		if err != nil {
			return err
		}
		for number := range 100 {
			want := filled(number, number*1_000)
			if err := stream.SendMsg(wrapperspb.Bytes(want)); err != nil {
				return err
			}
			answer := new(message)
			if err := stream.RecvMsg(answer); err != nil {
				return err
			}
			if !bytes.Equal(answer.Value, want) {
				return fmt.Errorf("message %d came back otherwise", number)
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		if err := stream.RecvMsg(new(message)); err != io.EOF {
			return fmt.Errorf("no end, but %v", err)
		}
		return nil
	},
	"error with details": func(channel grpc.ClientConnInterface) error {
		err := channel.Invoke(within(), path("Fail"), wrapperspb.Bytes([]byte("why")), new(message))
		failure := status.Convert(err)
		if failure.Code() != codes.FailedPrecondition || failure.Message() != "größer als 100 %" {
			return fmt.Errorf("failed with %v", err)
		}
		details := failure.Details()
		if len(details) != 1 || !proto.Equal(details[0].(proto.Message), wrapperspb.Bytes([]byte("why"))) {
			return fmt.Errorf("details %v", details)
		}
		return nil
	},
	"unknown method": func(channel grpc.ClientConnInterface) error {
		err := channel.Invoke(within(), path("Missing"), wrapperspb.Bytes(nil), new(message))
		if status.Code(err) != codes.Unimplemented {
			return fmt.Errorf("failed with %v", err)
		}
		return nil
	},
	"cancellation": func(channel grpc.ClientConnInterface) error {
		ctx, cancel := context.WithCancel(within())
		defer cancel()
		stream, err := hanging(ctx, channel)
		if err != nil {
			return err
		}
		cancel()
		if err := stream.RecvMsg(new(message)); status.Code(err) != codes.Canceled {
			return fmt.Errorf("ended with %v", err)
		}
		return nil
	},
	"deadline": func(channel grpc.ClientConnInterface) error {
		ctx, cancel := context.WithTimeout(within(), time.Second)
		defer cancel()
		stream, err := hanging(ctx, channel)
		if err != nil {
			return err
		}
		if err := stream.RecvMsg(new(message)); status.Code(err) != codes.DeadlineExceeded {
			return fmt.Errorf("ended with %v", err)
		}
		return nil
	},
	stalledCheck: func(channel grpc.ClientConnInterface) error {
		ctx, cancel := context.WithCancel(within())
		defer cancel()
		stalled, err := open(ctx, channel, "Repeat", true, false)
		if err != nil {
			return err
		}
		if err := stalled.SendMsg(wrapperspb.Bytes([]byte("100 30000"))); err != nil {
			return err
		}
		if err := stalled.CloseSend(); err != nil {
			return err
		}
		if err := stalled.RecvMsg(new(message)); err != nil {
			return err
		}
		return repeats(channel, 10_000, 100)
	},
}

func echoes(channel grpc.ClientConnInterface, value []byte) error {
	answer := new(message)
	if err := channel.Invoke(within(), path("Echo"), wrapperspb.Bytes(value), answer); err != nil {
		return err
	}
	if !bytes.Equal(answer.Value, value) {
		return fmt.Errorf("%d bytes came back otherwise", len(value))
	}
	return nil
}

func repeats(channel grpc.ClientConnInterface, count, size int) error {
	stream, err := open(within(), channel, "Repeat", true, false)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wrapperspb.Bytes(fmt.Appendf(nil, "%d %d", count, size))); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for number := range count {
		answer := new(message)
		if err := stream.RecvMsg(answer); err != nil {
			return err
		}
		if !bytes.Equal(answer.Value, filled(number, size)) {
			return fmt.Errorf("message %d is another", number)
		}
	}
	if err := stream.RecvMsg(new(message)); err != io.EOF {
		return fmt.Errorf("no end, but %v", err)
	}
	return nil
}

// hanging is a call whose handler has begun and waits to be cancelled.
func hanging(ctx context.Context, channel grpc.ClientConnInterface) (grpc.ClientStream, error) {
	stream, err := open(ctx, channel, "Hang", true, true)
	if err != nil {
		return nil, err
	}
	return stream, stream.RecvMsg(new(message))
}

func open(ctx context.Context, channel grpc.ClientConnInterface, method string, server, client bool) (grpc.ClientStream, error) {
	desc := grpc.StreamDesc{StreamName: method, ServerStreams: server, ClientStreams: client}
	return channel.NewStream(ctx, &desc, path(method))
}

func path(method string) string {
	return "/" + serviceName + "/" + method
}

// within is the time that any call may take.
func within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	time.AfterFunc(20*time.Second, cancel)
	return ctx
}
