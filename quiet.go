package shadow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"

	"github.com/goshadow/shadow/internal/guard"
)

// quiet returns an error whose text quotes neither what the target answered, as those of
// net/http do where they cannot read it, nor the URL of the copy, as those of http.Client
// do: err itself where that is so, else one that stands for it.
func quiet(err error) error {
	if err == nil {
		return nil
	}
	if text := say(err); text != err.Error() {
		return &quietError{err, text}
	}
	return err
}

// say is as much of the text of err as may be shown: what the network, TLS and the
// context say. Of any other error it is the type, and what can be said of the error in it.
func say(err error) string {
	switch e := err.(type) {
	case nil:
		return ErrTransport.Error()
	case *net.OpError:
		shown := *e
		shown.Err = errors.New(say(e.Err))
		return shown.Error()
	case *url.Error:
		return e.Op + ": " + say(e.Err)
	case *os.SyscallError:
		return e.Syscall + ": " + say(e.Err)
	case *net.DNSError, *net.AddrError, net.UnknownNetworkError, syscall.Errno, *guard.Panic, *lengthError,
		*tls.CertificateVerificationError, tls.RecordHeaderError, tls.AlertError:
		return err.Error()
	}
	for _, known := range [...]error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded,
		context.Canceled, context.DeadlineExceeded, ErrTimeout} {
		if err == known {
			return err.Error()
		}
	}
	text := fmt.Sprintf("%v: %T", ErrTransport, err)
	if inner := errors.Unwrap(err); inner != nil {
		return text + ": " + say(inner)
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return text + ": timeout"
	}
	return text
}

// quietError is an error of a Transport whose text may hold anything. It can be matched,
// but does not show.
type quietError struct {
	err  error
	text string
}

func (e *quietError) Error() string              { return e.text }
func (e *quietError) Format(s fmt.State, _ rune) { io.WriteString(s, e.text) }

func (e *quietError) Is(target error) bool { return target == ErrTransport || errors.Is(e.err, target) }
func (e *quietError) As(target any) bool   { return errors.As(e.err, target) }
