// quic-go's http3 as a client or server that does as it is told on stdin, and says on stdout what happens to it. Both are
// lines of JSON. test/interop/http3/README.md has the commands.
//
//	quic-go client PORT CA
//	quic-go server CERT KEY
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

type line map[string]any

var output sync.Mutex

func say(event string, said line) {
	if said == nil {
		said = line{}
	}
	said["event"] = event
	bytes, err := json.Marshal(said)
	if err != nil {
		log.Fatal(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(bytes))
}

// eachCommand reads stdin until it ends.
func eachCommand(obey func(command []byte)) {
	reader := bufio.NewReader(os.Stdin)
	for {
		command, err := reader.ReadBytes('\n')
		if err != nil {
			return
		}
		obey(command)
	}
}

type call struct {
	Method  string
	Path    string
	Headers map[string]string
	Body    string
	Fill    int
	Cancel  bool
}

func client(port, ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http3.Transport{DisableCompression: true}
	connection, err := quic.DialAddr(context.Background(), "127.0.0.1:"+port, &tls.Config{
		RootCAs:    roots,
		ServerName: "127.0.0.1",
		NextProtos: []string{http3.NextProtoH3},
	}, nil)
	if err != nil {
		return err
	}
	peer := transport.NewClientConn(connection)
	say("connected", nil)
	eachCommand(func(command []byte) {
		var asked call
		if err := json.Unmarshal(command, &asked); err != nil {
			log.Fatal(err)
		}
		go func() {
			if err := answer(peer, "https://127.0.0.1:"+port, asked); err != nil {
				say("failed", line{"message": err.Error()})
			}
		}()
	})
	return nil
}

func answer(peer *http3.ClientConn, origin string, asked call) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	body := strings.ReplaceAll(asked.Body, "FILL", strings.Repeat("0123456789abcdef", asked.Fill/16))
	request, err := http.NewRequestWithContext(ctx, asked.Method, origin+asked.Path, strings.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range asked.Headers {
		request.Header.Set(name, value)
	}
	response, err := peer.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if asked.Cancel {
		if _, err := io.ReadFull(response.Body, make([]byte, 1)); err != nil {
			return err
		}
		cancel()
		// The error of reading on says that the stream was given up.
		_, err := io.Copy(io.Discard, response.Body)
		if err == nil {
			return errors.New("read on after the end")
		}
		say("cancelled", nil)
		return nil
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	said := line{
		"status":   response.StatusCode,
		"headers":  joined(response.Header),
		"trailers": joined(response.Trailer),
		"length":   len(content),
		"sha256":   hex.EncodeToString(sum[:]),
	}
	if len(content) < 10_000 {
		said["body"] = base64.StdEncoding.EncodeToString(content)
	}
	say("response", said)
	return nil
}

func joined(header http.Header) map[string]string {
	fields := map[string]string{}
	for name, values := range header {
		fields[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return fields
}

type connectionNumber struct{}

func server(cert, key string) error {
	certificate, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	transport := &quic.Transport{Conn: socket}
	released := make(chan struct{})
	var connections atomic.Int64
	serve := func() (*http3.Server, *quic.EarlyListener, error) {
		listener, err := transport.ListenEarly(&tls.Config{
			Certificates: []tls.Certificate{certificate},
			NextProtos:   []string{http3.NextProtoH3},
		}, nil)
		if err != nil {
			return nil, nil, err
		}
		server := &http3.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { echo(w, r, released) }),
			ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
				return context.WithValue(ctx, connectionNumber{}, connections.Add(1))
			},
		}
		go func() { _ = server.ServeListener(listener) }()
		return server, listener, nil
	}
	current, listener, err := serve()
	if err != nil {
		return err
	}
	say("listening", line{"port": socket.LocalAddr().(*net.UDPAddr).Port})
	eachCommand(func(command []byte) {
		switch strings.TrimSpace(string(command)) {
		case `"goaway"`:
			// Another server takes the connections to come, at the same address.
			leaving := current
			if err := listener.Close(); err != nil {
				log.Fatal(err)
			}
			if current, listener, err = serve(); err != nil {
				log.Fatal(err)
			}
			go func() {
				_ = leaving.Shutdown(context.Background())
				say("shut down", nil)
			}()
			say("going away", nil)
		case `"release"`:
			close(released)
		}
	})
	return nil
}

func echo(w http.ResponseWriter, r *http.Request, released <-chan struct{}) {
	connection := r.Context().Value(connectionNumber{})
	contentType := r.Header.Get("Content-Type")
	if r.Method == http.MethodGet {
		// It has its message in the query, and gets an empty one.
		contentType = "application/proto"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Connection", fmt.Sprint(connection))
	if r.Header.Get("X-Note") == "forever" {
		// One message in an envelope, and no end.
		_, _ = w.Write(make([]byte, 5))
		w.(http.Flusher).Flush()
		_, err := io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		// What ended the context does not say with which code: writing does.
		if err == nil {
			_, err = w.Write(make([]byte, 5))
		}
		var h3Error *http3.Error
		if errors.As(err, &h3Error) {
			say("given up", line{"code": uint64(h3Error.ErrorCode)})
		} else {
			say("given up", line{"error": fmt.Sprint(err)})
		}
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		say("failed", line{"message": err.Error()})
		return
	}
	if r.Header.Get("X-Note") == "hold" {
		say("held", line{"connection": connection})
		<-released
	}
	if strings.HasPrefix(contentType, "application/grpc") {
		w.Header().Set("Trailer", "Grpc-Status, X-Counted")
		defer func() {
			w.Header().Set("Grpc-Status", "0")
			w.Header().Set("X-Counted", fmt.Sprint(len(content)))
		}()
	}
	// Requests and responses of the echo service are alike.
	_, _ = io.Copy(w, bytes.NewReader(content))
	say("answered", line{"connection": connection, "method": r.Method, "length": len(content)})
}

func main() {
	roles := map[string]func(string, string) error{"client": client, "server": server}
	if len(os.Args) != 4 || roles[os.Args[1]] == nil {
		log.Fatal("expected: client PORT CA, or server CERT KEY")
	}
	if err := roles[os.Args[1]](os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}
