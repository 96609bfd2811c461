package shadow_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/goshadow/shadow"
)

// A candidate behind a Unix socket: the URL names its host, and the Transport reaches it.
func ExampleTarget_unixSocket() {
	dir, err := os.MkdirTemp("", "shadow")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "v2.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	v2 := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("v2:", r.Host, r.URL.Path)
	})}
	go v2.Serve(listener)
	defer v2.Close()

	client := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	defer client.CloseIdleConnections()
	mirror, err := shadow.New(shadow.Target{
		Name: "v2", URL: "http://v2", Transport: client, Masker: shadow.DropCredentials(),
	})
	if err != nil {
		panic(err)
	}
	h := mirror.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders", nil))
	mirror.Shutdown(context.Background())
	// Output: v2: v2 /orders
}

// A candidate that wants a client certificate (mutual TLS).
func ExampleTarget_clientCertificate() {
	v2 := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("v2:", len(r.TLS.PeerCertificates), "certificate")
		io.WriteString(w, "ok")
	}))
	v2.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	v2.StartTLS()
	defer v2.Close()

	roots := x509.NewCertPool()
	roots.AddCert(v2.Certificate())
	client := &http.Transport{
		DisableCompression: true,
		TLSClientConfig: &tls.Config{
			RootCAs:      roots,
			Certificates: v2.TLS.Certificates, // as a rule that of tls.LoadX509KeyPair
		},
	}
	defer client.CloseIdleConnections()
	mirror, err := shadow.New(shadow.Target{
		Name: "v2", URL: v2.URL, Transport: client, Masker: shadow.DropCredentials(),
	})
	if err != nil {
		panic(err)
	}
	h := mirror.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	mirror.Shutdown(context.Background())
	// Output: v2: 1 certificate
}
