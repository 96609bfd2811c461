package bodies

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each path of a difference is made of tokens that Tokens finds in the bodies, in every format:
// what is not found in a masked body is hidden.
func TestPathsAreMadeOfTokensOfTheBodies(t *testing.T) {
	for _, contentType := range mediaTypes {
		t.Run(contentType, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			c := comparerFor(contentType)
			paths := 0
			for range 300 {
				a := []byte(sample(contentType, 4, "x"))
				b := mutated(r, a)
				found := map[string]bool{"*": true, "text()": true, "unterminated": true, "@content-type": true, "@content-range": true, "@filename": true}
				index := int64(-1)
				for _, body := range [][]byte{a, b} {
					index = max(index, new(Set).Tokens(contentType, body, nil, func(token []byte) { found[string(token)] = true }))
				}
				for _, d := range c.Compare(a, b, "").Diffs {
					for token := range strings.SplitSeq(strings.TrimPrefix(d.Path, "/"), "/") {
						if n, err := strconv.ParseInt(token, 10, 64); d.Path == "" || err == nil && n <= index {
							continue
						}
						require.True(t, found[token], "%q of %q: %q", token, d.Path, b)
						paths++
					}
				}
			}
			named := !slices.Contains([]string{"text/html", "image/png"}, contentType)
			assert.Equal(t, named, paths > 0, "%d names", paths)
		})
	}
}
