package main

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const serviceName = "connectquic.interop.v1.BytesService"

// bytesService is what protoc-gen-go-grpc would make of proto/connectquic/interop/v1/bytes.proto.
var bytesService = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{unary("Echo", echo), unary("Fail", refuse)},
	Streams: []grpc.StreamDesc{
		{StreamName: "Repeat", Handler: repeat, ServerStreams: true},
		{StreamName: "Collect", Handler: collect, ClientStreams: true},
		{StreamName: "Converse", Handler: converse, ServerStreams: true, ClientStreams: true},
		{StreamName: "Hang", Handler: hang, ServerStreams: true, ClientStreams: true},
	},
}

type message = wrapperspb.BytesValue

func unary(name string, handle func(context.Context, *message) (*message, error)) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := new(message)
			if err := decode(request); err != nil {
				return nil, err
			}
			return handle(ctx, request)
		},
	}
}

func echo(ctx context.Context, request *message) (*message, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	header, trailer := metadata.MD{}, metadata.MD{}
	for _, suffix := range []string{"", "-bin"} {
		header.Append("x-note"+suffix, incoming.Get("x-note"+suffix)...)
		trailer.Append("x-noted"+suffix, incoming.Get("x-note"+suffix)...)
	}
	if err := grpc.SetHeader(ctx, header); err != nil {
		return nil, err
	}
	return request, grpc.SetTrailer(ctx, trailer)
}

func refuse(_ context.Context, request *message) (*message, error) {
	failure, err := status.New(codes.FailedPrecondition, "größer als 100 %").WithDetails(request)
	if err != nil {
		return nil, err
	}
	return nil, failure.Err()
}

func repeat(_ any, stream grpc.ServerStream) error {
	request := new(message)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	var count, size int
	if _, err := fmt.Sscanf(string(request.Value), "%d %d", &count, &size); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	for number := range count {
		if err := stream.SendMsg(wrapperspb.Bytes(filled(number, size))); err != nil {
			return err
		}
	}
	return nil
}

func collect(_ any, stream grpc.ServerStream) error {
	count, size := 0, 0
	for {
		request := new(message)
		if err := stream.RecvMsg(request); err == io.EOF {
			return stream.SendMsg(wrapperspb.Bytes(fmt.Appendf(nil, "%d %d", count, size)))
		} else if err != nil {
			return err
		}
		count++
		size += len(request.Value)
	}
}

func converse(_ any, stream grpc.ServerStream) error {
	for {
		request := new(message)
		if err := stream.RecvMsg(request); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(request); err != nil {
			return err
		}
	}
}

func hang(_ any, stream grpc.ServerStream) error {
	if err := stream.SendMsg(wrapperspb.Bytes(nil)); err != nil {
		return err
	}
	<-stream.Context().Done()
	say("cancelled", nil)
	return status.FromContextError(stream.Context().Err()).Err()
}

func filled(number, size int) []byte {
	bytes := make([]byte, size)
	for i := range bytes {
		bytes[i] = byte(number)
	}
	return bytes
}
