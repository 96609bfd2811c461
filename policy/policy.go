// Package policy reads masks from a file, so that the people who are responsible for privacy can
// own, review and change the rules without a programmer.
//
//	rules, err := policy.Parse(file, key)
//	...
//	target := shadow.Remote("v2", "http://orders-v2.internal")
//	mirror, err := shadow.New(target, shadow.WithMasker(rules)) // masks copies and reports
//
// See docs/privacy-review.md for how to review one.
//
// # The file
//
// A policy is a JSON document (RFC 8259):
//
//	{
//	  "version": 1,
//	  "credentials": "drop",
//	  "rules": [
//	    {
//	      "name": "e-mail addresses",
//	      "note": "GDPR Art. 4 (1)",
//	      "replace": "tokenize",
//	      "headers": ["X-User"],
//	      "query": ["email"],
//	      "path": ["/users/{email}"],
//	      "json": ["$..email"]
//	    },
//	    {"name": "health", "note": "GDPR Art. 9", "replace": "drop", "json": ["$..diagnosis"]},
//	    {"name": "cards", "note": "PCI DSS 3.5.1", "patterns": ["\\b[0-9]{16}\\b"]}
//	  ],
//	  "bodies": {"allow": ["image/*"]}
//	}
//
// A rule has a unique name, and may have a note for people. It selects values by their place or
// by their look, in one or more of these lists of strings:
//
//	headers   names of header and trailer fields       shadow.MaskHeaders
//	cookies   names of cookies                         shadow.MaskCookies
//	query     names of query parameters                shadow.MaskQuery
//	path      patterns of paths                        shadow.MaskPath
//	form      names of form and multipart fields       shadow.MaskForm
//	json      JSONPath (RFC 9535)                      shadow.MaskJSON
//	xml       names of elements and attributes         shadow.MaskXML
//	patterns  regular expressions, wherever text is    shadow.MaskPatterns
//	detect    kinds of values, by their look           shadow.MaskDetected
//
// Replace names the replacement of a value: "redact", which is the default, "drop", "hash" or
// "tokenize": see shadow.Redact, Drop, Hash and Tokenize. Rules apply in order, each to the
// output of the rules before it: patterns and detect also find tokens of earlier rules that
// look like the values they look for.
//
// Credentials are dropped before all rules, as by shadow.DropCredentials, unless "credentials"
// is "keep". Then only the rules apply to credentials in copies; set the Masker of a Remote target
// to nil, because it is DropCredentials. Reports never hold credentials. A body that no rule looks
// into is neither sent nor reported, unless "bodies" names its type, as shadow.AllowBodies does:
// "*/*" allows all.
package policy

import (
	"errors"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/composite"
)

// Policy is a shadow.Masker that applies the rules of a file. Parse makes one. It is safe for
// concurrent use.
type Policy struct {
	inTurn
	all   shadow.Masker // of the rules, credentials and allowed bodies, in order
	rules []rule
}

// inTurn says that a Mirror may call the parts of a Policy instead of the Policy.
type inTurn = composite.InTurn

// rule is one rule of a Policy.
type rule struct {
	name   string
	masker shadow.Masker
}

// newPolicy returns a Policy of the rules that lets pass the bodies that are allowed.
func newPolicy(rules []rule, allowed []string) *Policy {
	var maskers []shadow.Masker
	for _, r := range rules {
		maskers = append(maskers, r.masker)
	}
	return &Policy{all: shadow.MaskAll(append(maskers, shadow.AllowBodies(allowed...))...), rules: rules}
}

// Mask applies the rules to m. It returns an error if a rule must look into the body and
// cannot, or if no rule looks into the body and its type is not allowed.
func (p *Policy) Mask(m *shadow.Message) error {
	if p.all == nil {
		return errors.New("shadow: policy: not made by Parse")
	}
	return p.all.Mask(m)
}

// Unwrap returns what p is made of, so that a Mirror sees its rules.
func (p *Policy) Unwrap() []shadow.Masker { return []shadow.Masker{p.all} }

// credentialsRule is the name of the rule that drops credentials, which is not in the file.
const credentialsRule = "credentials"
