package shadow_test

import "github.com/goshadow/shadow/internal/mirrortest"

// The helpers of mirrortest have short names here.
type (
	reports      = mirrortest.Results
	happenings   = mirrortest.Events
	limited      = mirrortest.Bubble
	switched     = mirrortest.Switched
	roundTripper = mirrortest.RoundTripper
)

var (
	mirror       = mirrortest.New
	ledger       = mirrortest.Counts
	candidate    = mirrortest.Candidate
	faultsOf     = mirrortest.Faults
	isolated     = mirrortest.Isolated
	calm         = mirrortest.Calm
	getFrom      = mirrortest.Get
	postTo       = mirrortest.Post
	newGate      = mirrortest.NewGate
	encode       = mirrortest.Encode
	inBubble     = mirrortest.InBubble
	inBubbleAsIs = mirrortest.InLoadedBubble
	rest         = mirrortest.Rest
	sleeping     = mirrortest.Sleeping
	failingWith  = mirrortest.FailingWith
	printed      = mirrortest.Printed
	spellings    = mirrortest.Spellings
)

var ok, fine, broken, hung = mirrortest.OK, mirrortest.Fine, mirrortest.Broken, mirrortest.Hung
