package shadow

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// forceHeader carries the token of Force. It is one of the credentials: reports do not show
// it and DropCredentials removes it.
const forceHeader = "Shadow-Force"

// Force samples the requests whose header "Shadow-Force" holds a token that ForceToken
// made with one of keys and that has not expired, and no other. Who has no key can switch
// nothing on, and nobody can switch anything off. Several keys are for the time in which
// one replaces another. A key has 32 bytes or more, as RFC 2104 section 3 asks for with
// SHA-256.
//
// A token is good for any number of requests until it expires: put a PerSecond behind
// Force with All where its holders are not trusted to keep measure. Where a gateway in front
// removes and sets a header of its own, trust that with When instead.
func Force(keys ...[]byte) Sampler {
	s := &force{keys: make([][]byte, len(keys))}
	for i, key := range keys {
		s.keys[i] = append([]byte(nil), key...)
	}
	return s
}

type force struct{ keys [][]byte }

func (s *force) Fault() error {
	if len(s.keys) == 0 {
		return fmt.Errorf("Force: no key")
	}
	for i, key := range s.keys {
		if len(key) < sha256.Size {
			return fmt.Errorf("Force: key %d has %d bytes; make %d random ones (RFC 2104 section 3)", i+1, len(key), sha256.Size)
		}
	}
	return nil
}

func (s *force) Sample(r *http.Request) Decision {
	if s.valid(r) {
		return Decision{Sampled: true, Probability: 1}
	}
	return Decision{}
}

// valid reports whether r has a token.
func (s *force) valid(r *http.Request) bool {
	tokens := r.Header[forceHeader]
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
// under key in base64url. Whoever sees it may use it: give it a life of minutes.
func ForceToken(key []byte, until time.Time) string {
	return sign(key, strconv.FormatInt(until.Unix(), 10))
}

// sign makes the token of an expiry. What it signs has a name of its own, so that a key that
// signs other things as well gives nobody a token.
func sign(key []byte, expiry string) string {
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, forceHeader+"\n"+expiry)
	return expiry + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
