package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program asks itself, and so does this test.
func TestMain(m *testing.M) {
	exactPeers = append(exactPeers, peer{"one that dies", func(rules, []byte) (verdict, error) {
		return func([]byte, []byte) (bool, error) { os.Exit(2); return true, nil }, nil
	}})
	if len(os.Args) == 3 && os.Args[1] == "-answer" {
		if err := answer(os.Stdout, os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What is measured must be what the rows say, and the peers that know all rules must
// agree on it.
func TestPairsAreWhatTheySay(t *testing.T) {
	documents, err := documents()
	require.NoError(t, err)
	var all []pair
	for _, d := range documents {
		pairs, err := d.pairs()
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(pairs), 5, d.name)
		for _, p := range pairs {
			p.name = d.name + ": " + p.name
			all = append(all, p)
		}
	}
	keyed, err := keyedPair()
	require.NoError(t, err)
	for _, p := range append(all, keyed) {
		t.Run(p.name, func(t *testing.T) {
			assert.Equal(t, strings.Contains(p.name, "identical"), bytes.Equal(p.a, p.b))
			for _, peer := range []peer{peers[0], peers[1]} {
				compare, err := peer.prepare(p.rules, p.a)
				require.NoError(t, err)
				got, err := compare(p.a, p.b)
				require.NoError(t, err)
				assert.Equal(t, p.equal, got, peer.name)
			}
			if p.rules.ignore != nil || p.rules.unordered != nil || p.rules.keyed != nil {
				exact, err := peers[0].prepare(rules{}, p.a)
				require.NoError(t, err)
				got, err := exact(p.a, p.b)
				require.NoError(t, err)
				assert.False(t, got, "the rule is not needed")
			}
		})
	}
}

func TestShadowIsRightInEveryHardCase(t *testing.T) {
	for _, c := range hardCases {
		if answer := peers[0].answer(c); !c.want.met(answer) {
			t.Errorf("%s: %s, want %s", c.name, answer, c.want)
		}
	}
}

func TestAnswersComeFromAnotherProcess(t *testing.T) {
	for p, peer := range exactPeers[:2] {
		for _, c := range []int{0, 5} {
			got, err := ask(p, c)
			require.NoError(t, err)
			assert.Equal(t, peer.answer(hardCases[c]), got)
		}
	}
	got, err := ask(len(exactPeers)-1, 0)
	require.NoError(t, err)
	assert.Equal(t, "dies", got)
}

func TestAnswersAreNamed(t *testing.T) {
	c := hardCase{a: "1", b: "2"}
	for want, compare := range map[string]verdict{
		"equal":                 func(_, _ []byte) (bool, error) { return true, nil },
		"differ":                func(_, _ []byte) (bool, error) { return false, nil },
		"refused":               func(_, _ []byte) (bool, error) { return false, errors.New("no") },
		"depends on the side":   func(a, _ []byte) (bool, error) { return a[0] == '1', nil },
		"writes into its input": func(a, _ []byte) (bool, error) { a[0] = '3'; return false, nil },
	} {
		p := peer{"fake", func(rules, []byte) (verdict, error) { return compare, nil }}
		assert.Equal(t, want, p.answer(c))
	}
}

func TestOnlyRightAnswersAreMet(t *testing.T) {
	assert.True(t, equal.met("equal"))
	assert.False(t, equal.met("refused"))
	assert.True(t, differ.met("differ"))
	assert.False(t, differ.met("refused"))
	assert.True(t, notEqual.met("refused"))
	assert.False(t, notEqual.met("equal"))
	assert.False(t, notEqual.met("dies"))
}

func BenchmarkPeers(b *testing.B) {
	documents, err := documents()
	require.NoError(b, err)
	for _, d := range documents {
		pairs, err := d.pairs()
		require.NoError(b, err)
		for _, p := range pairs {
			b.Run(d.name+"/"+p.name+"/unit", p.benchmark(p.unit()))
			for _, peer := range peers {
				compare, err := peer.prepare(p.rules, p.a)
				require.NoError(b, err)
				if compare != nil {
					b.Run(d.name+"/"+p.name+"/"+peer.name, p.benchmark(compare))
				}
			}
		}
	}
}
