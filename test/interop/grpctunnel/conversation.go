package main

import (
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// conversation is a call of Converse that goes on while other things happen.
type conversation struct {
	stream grpc.ClientStream
}

func begin(channel grpc.ClientConnInterface) *conversation {
	stream, err := open(within(), channel, "Converse", true, true)
	if err != nil {
		fail(err)
	}
	running := &conversation{stream}
	if err := running.echo(); err != nil {
		fail(err)
	}
	say("begun", nil)
	return running
}

// end has one more message echoed, and says how the call has ended.
func (running *conversation) end() {
	err := running.echo()
	if err == nil {
		if err = running.stream.CloseSend(); err == nil {
			err = running.stream.RecvMsg(new(message))
		}
	}
	if err == io.EOF {
		err = nil
	}
	say("ended", map[string]any{"code": status.Code(err).String()})
}

func (running *conversation) echo() error {
	// What is wrong is to be heard from RecvMsg.
	_ = running.stream.SendMsg(wrapperspb.Bytes([]byte("still there?")))
	return running.stream.RecvMsg(new(message))
}
