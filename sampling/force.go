package sampling

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/sampling"
)

// minKey is the least length of a key: RFC 2104 section 3 asks for that of the hash.
const minKey = sha256.Size

// Force is a Sampler of the requests whose header "Shadow-Force" holds a token that ForceToken
// made with one of its keys and that has not expired. Without a key nobody can force sampling;
// nobody can suppress it.
//
// A token is good for any number of requests until it expires. If its holders may send too many,
// put a shadow.PerSecond behind the Force with shadow.All. If a gateway in front removes and sets
// a header of its own, trust that with shadow.When instead.
//
// NewForce makes one; the zero value samples nothing and is an error of shadow.New.
type Force struct{ keys [][]byte }

// NewForce returns a Force with the keys, of 32 bytes or more each. Several keys are for the time
// in which one replaces another.
func NewForce(keys ...[]byte) (*Force, error) {
	s := &Force{}
	var errs []error
	for i, key := range keys {
		if len(key) < minKey {
			errs = append(errs, fmt.Errorf("sampling: NewForce: key %d has %d bytes; make %d random ones (RFC 2104 section 3)", i+1, len(key), minKey))
		}
		s.keys = append(s.keys, bytes.Clone(key))
	}
	if len(keys) == 0 {
		errs = append(errs, errors.New("sampling: NewForce: no key"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// Fault returns an error for the zero value.
func (s *Force) Fault() error {
	if len(s.keys) == 0 {
		return errors.New("sampling: the zero Force samples nothing: use NewForce")
	}
	return nil
}

// Describe describes s to the Mirror.
func (s *Force) Describe() sampling.Description {
	return sampling.Description{Of: s, Settled: true, Foresee: func(r *http.Request) sampling.Foresight {
		return sampling.Rule("Force", s.valid(r))
	}}
}

// Sample samples a request with a token.
func (s *Force) Sample(r *http.Request) shadow.Decision {
	if s.valid(r) {
		return shadow.Decision{Sampled: true, Probability: 1}
	}
	return shadow.Decision{}
}

// valid reports whether r has one token, which is genuine and has not expired.
func (s *Force) valid(r *http.Request) bool {
	tokens := r.Header[sampling.ForceHeader]
	if len(tokens) != 1 {
		return false
	}
	expiry, _, _ := strings.Cut(tokens[0], ".")
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || time.Now().Unix() >= seconds {
		return false
	}
	for _, key := range s.keys {
		if hmac.Equal([]byte(tokens[0]), []byte(sign(key, expiry))) { // in constant time
			return true
		}
	}
	return false
}

// ForceToken returns a value of the header "Shadow-Force" with which Force samples a request
// until the given time, in whole seconds: the Unix time and its HMAC-SHA256 (RFC 2104)
// under key in base64url. Whoever sees it may use it: let it expire after minutes.
func ForceToken(key []byte, until time.Time) string {
	return sign(key, strconv.FormatInt(until.Unix(), 10))
}

// sign makes the token of an expiry. It signs the header's name too, so that a key that also
// signs other things gives nobody a token.
func sign(key []byte, expiry string) string {
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, sampling.ForceHeader+"\n"+expiry)
	return expiry + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
