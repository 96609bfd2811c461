package shadowtest_test

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/shadowtest"
)

var iban = regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b`)

// A mask that forgets that a body may be a part of one: an account number that was cut in
// two would pass.
func ExampleTestMasker() {
	masker := shadow.MaskerFunc(func(m *shadow.Message) error {
		m.Body = iban.ReplaceAll(m.Body, []byte("[masked]"))
		return nil
	})
	err := shadowtest.TestMasker(masker, &shadow.Message{StatusCode: 200, Body: []byte("from DE02120300000000202051")})
	fmt.Println(err)

	// Output:
	// shadowtest: a Masker must fail on a Truncated body that it has to look into: of 13 of 27 bytes it made "from DE021203" and no error (sample "1")
}

// A comparator whose path leads to nothing: its differences would be shown without values.
func ExampleTestComparator() {
	words := shadow.ComparatorFunc(func(x *shadow.Exchange) []shadow.Diff {
		p, s := bytes.Fields(x.Primary.Body), bytes.Fields(x.Shadow.Body)
		if len(p) != len(s) {
			return []shadow.Diff{{Path: "/words", Kind: shadow.Changed}}
		}
		return nil
	})
	fmt.Println(shadowtest.TestComparator(words))

	// Output:
	// shadowtest: a Comparator must return paths that are RFC 6901 pointers to /status, or into /header, /trailer or /body: it returned "/words" (sample "JSON spelt otherwise")
}
