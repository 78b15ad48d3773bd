// A peer on github.com/jhump/grpctunnel and grpc-go, for the tests beside it.
//
//	grpctunnel-peer serve [-old]        a tunnel service on a free port of loopback
//	grpctunnel-peer dial PORT [-old]    opens tunnels to one
//
// Takes commands as lines on stdin, says what happened as lines of JSON, and ends with its stdin. With -old it leaves flow
// control away, as revision zero of the protocol does.
//
//	forward     dial: opens a forward tunnel, calls everything through it, and closes it
//	reverse     dial: opens a reverse tunnel, and serves it until it is closed
//	call        serve: calls everything through the reverse tunnels there are
//	begin       begins a call of Converse: dial through a forward tunnel, serve through the reverse tunnels there are
//	end         goes on with it, ends it, and says with which code
//	stop        stops gracefully: what runs may end
//	stop now    stops at once
//	measure     dial: times calls of Echo, direct ones and ones through a forward tunnel
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"github.com/jhump/grpctunnel"
	"github.com/jhump/grpctunnel/tunnelpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	old := slices.Contains(os.Args, "-old")
	commands := make(chan string)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			commands <- lines.Text()
		}
		os.Exit(0)
	}()
	if os.Args[1] == "serve" {
		serve(commands, old)
	} else {
		dial(commands, os.Args[2], old)
	}
}

func serve(commands <-chan string, old bool) {
	handler := grpctunnel.NewTunnelServiceHandler(grpctunnel.TunnelServiceHandlerOptions{
		DisableFlowControl: old,
		OnReverseTunnelOpen: func(grpctunnel.TunnelChannel) {
			say("opened", nil)
		},
		OnReverseTunnelClose: func(grpctunnel.TunnelChannel) {
			say("closed", nil)
		},
	})
	handler.RegisterService(&bytesService, struct{}{})
	server := grpc.NewServer()
	server.RegisterService(&bytesService, struct{}{})
	tunnelpb.RegisterTunnelServiceServer(server, handler.Service())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	go server.Serve(listener)
	say("listening", map[string]any{"port": listener.Addr().(*net.TCPAddr).Port})
	var running *conversation
	for command := range commands {
		switch command {
		case "begin":
			running = begin(handler.AsChannel())
		case "end":
			running.end()
		case "stop now":
			say("stopping", nil)
			server.Stop()
		case "call":
			report(handler.AsChannel(), old)
		case "stop":
			handler.InitiateShutdown()
			say("stopping", nil)
		}
	}
}

func dial(commands <-chan string, port string, old bool) {
	target := "passthrough:///127.0.0.1:" + port
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fail(err)
	}
	stub := tunnelpb.NewTunnelServiceClient(conn)
	var options []grpctunnel.TunnelOption
	if old {
		options = append(options, grpctunnel.WithDisableFlowControl())
	}
	server := grpctunnel.NewReverseTunnelServer(stub, options...)
	server.RegisterService(&bytesService, struct{}{})
	say("ready", nil)
	var running *conversation
	for command := range commands {
		switch command {
		case "begin":
			channel, err := grpctunnel.NewChannel(stub, options...).Start(context.Background())
			if err != nil {
				fail(err)
			}
			running = begin(channel)
		case "end":
			running.end()
		case "stop now":
			say("stopping", nil)
			go server.Stop()
		case "forward":
			channel, err := grpctunnel.NewChannel(stub, options...).Start(context.Background())
			if err != nil {
				fail(err)
			}
			report(channel, old)
			channel.Close()
		case "measure":
			channel, err := grpctunnel.NewChannel(stub, options...).Start(context.Background())
			if err != nil {
				fail(err)
			}
			say("measured", measure(conn, channel))
			channel.Close()
		case "reverse":
			go func() {
				_, err := server.Serve(context.Background())
				say("served", map[string]any{"error": text(err)})
			}()
		case "stop":
			go server.GracefulStop()
			say("stopping", nil)
		}
	}
}

// report calls everything, and says what went well and what did not.
func report(channel grpc.ClientConnInterface, old bool) {
	outcomes := map[string]any{}
	for name, check := range checks {
		if name == stalledCheck && old {
			// Without flow control, what a Go client leaves unread stalls its tunnel.
			continue
		}
		outcomes[name] = text(check(channel))
	}
	say("called", map[string]any{"outcomes": outcomes})
}

var saying sync.Mutex

func say(event string, fields map[string]any) {
	saying.Lock()
	defer saying.Unlock()
	if fields == nil {
		fields = map[string]any{}
	}
	fields["event"] = event
	line, _ := json.Marshal(fields)
	fmt.Println(string(line))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
