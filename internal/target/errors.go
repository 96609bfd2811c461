package target

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

var (
	// ErrTimeout is the cause with which the context of a copy ends at its deadline.
	ErrTimeout = errors.New("shadow: no answer within the target's timeout")
	// ErrTransport stands for an error of a Transport whose text is not shown.
	ErrTransport = errors.New("shadow: the transport failed")
)

// Quiet returns an error whose text quotes neither the answer of the target, as the errors of
// net/http do, nor the URL of the copy, as those of http.Client do. It is err itself if its text
// quotes neither.
func Quiet(err error) error {
	if err == nil {
		return nil
	}
	if text := say(err); text != err.Error() {
		return &quietError{err, text}
	}
	return err
}

// say returns as much of the text of err as may be shown: what the network, TLS and the context
// report. Of any other error it returns the type, and what say returns of the wrapped error.
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

// quietError is an error of a Transport whose own text may quote anything. errors.Is and
// errors.As see the error behind it.
type quietError struct {
	err  error
	text string
}

func (e *quietError) Error() string              { return e.text }
func (e *quietError) Format(s fmt.State, _ rune) { io.WriteString(s, e.text) }

func (e *quietError) Is(target error) bool { return target == ErrTransport || errors.Is(e.err, target) }
func (e *quietError) As(target any) bool   { return errors.As(e.err, target) }

// ErrorType returns a name of low cardinality for err, which ended a copy.
func ErrorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.Is(err, guard.ErrPanic):
		return "panic"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "transport"
}
