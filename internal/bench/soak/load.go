package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// primary answers a GET with as many bytes as it is asked for, a stream with events, and
// anything else with the sum of its body.
func primary(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	switch {
	case r.Method != http.MethodGet:
		h := crc32.NewIEEE()
		if _, err := io.Copy(h, r.Body); err != nil {
			http.Error(w, "broken body", http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%08x", h.Sum32())
	case r.URL.Path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range n {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	default:
		w.Write(text[:n]) //nolint:errcheck // the client may have gone
	}
}

var text = bytes.Repeat([]byte("soak"), 64<<10)

// traffic is what clients ask, over HTTP/1.1 and HTTP/2, as fast as they are answered.
type traffic struct {
	servers []*httptest.Server
	serving sync.WaitGroup
	served  atomic.Int64
	over    context.Context
	end     context.CancelFunc
	clients sync.WaitGroup
	wrong   chan error
}

func start(h http.Handler) *traffic {
	t := &traffic{wrong: make(chan error, 1)}
	t.over, t.end = context.WithCancel(context.Background())
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.serving.Add(1)
		defer t.serving.Done()
		defer t.served.Add(1)
		h.ServeHTTP(w, r)
	})
	for _, http2 := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(counted)
		if http2 {
			srv.EnableHTTP2 = true
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.servers = append(t.servers, srv)
		for range 8 {
			t.clients.Go(func() { t.ask(srv) })
		}
	}
	return t
}

// ask is a client. It ends at the first wrong answer.
func (t *traffic) ask(srv *httptest.Server) {
	kinds := []func(*http.Client, string) error{get, post, chunks, stream, leave}
	for i := 0; t.over.Err() == nil; i++ {
		if err := kinds[i%len(kinds)](srv.Client(), srv.URL); err != nil {
			select {
			case t.wrong <- err:
			default:
			}
			return
		}
	}
}

// stop ends the traffic and returns how many requests were served.
func (t *traffic) stop() (int64, error) {
	t.end()
	t.clients.Wait()
	for _, srv := range t.servers {
		srv.Client().CloseIdleConnections()
		srv.Close()
	}
	t.serving.Wait()
	select {
	case err := <-t.wrong:
		return t.served.Load(), err
	default:
		return t.served.Load(), nil
	}
}

func answer(client *http.Client, r *http.Request) ([]byte, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func get(client *http.Client, url string) error {
	r, err := http.NewRequest("GET", url+"/items?n=2000", nil)
	if err != nil {
		return err
	}
	got, err := answer(client, r)
	if err == nil && !bytes.Equal(got, text[:2000]) {
		err = errors.New("a GET was answered with something else")
	}
	return err
}

func post(client *http.Client, url string) error {
	return upload(client, url, bytes.NewReader(text[:64<<10]), text[:64<<10])
}

// chunks uploads more than a copy may hold now and then: its length is not known.
func chunks(client *http.Client, url string) error {
	body := text[:100<<10]
	if time.Now().UnixNano()%10 == 0 {
		body = bytes.Repeat(text, 6)
	}
	return upload(client, url, io.MultiReader(bytes.NewReader(body)), body)
}

func upload(client *http.Client, url string, body io.Reader, content []byte) error {
	r, err := http.NewRequest("POST", url+"/items", body)
	if err != nil {
		return err
	}
	got, err := answer(client, r)
	if want := fmt.Sprintf("%08x", crc32.ChecksumIEEE(content)); err == nil && string(got) != want {
		err = fmt.Errorf("a body with the sum %s arrived as %s", want, got)
	}
	return err
}

func stream(client *http.Client, url string) error {
	resp, err := client.Get(url + "/events?n=10")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if lines.Text() == "" {
			continue
		}
		if want := fmt.Sprintf("data: %d", n); lines.Text() != want {
			return fmt.Errorf("the event %q came as %q", want, lines.Text())
		}
		n++
	}
	if n != 10 {
		return fmt.Errorf("%d of 10 events came", n)
	}
	return nil
}

// leave goes away in the middle of the answer.
func leave(client *http.Client, url string) error {
	resp, err := client.Get(url + "/items?n=200000")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.CopyN(io.Discard, resp.Body, 1000)
	return err
}
