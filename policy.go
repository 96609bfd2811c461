package shadow

import "github.com/goshadow/shadow/internal/composite"

// Policy is a Masker whose rules stand in a file, so that those who answer for privacy own
// them, review them and change them without a programmer:
//
//	rules, err := shadow.ParsePolicy(file, key)
//	...
//	target := shadow.Remote("v2", "http://orders-v2.internal")
//	mirror, err := shadow.New(target, shadow.WithMasker(rules)) // shapes all that leaves
//
// It is safe for concurrent use. See docs/privacy-review.md for how to review one.
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
// A rule has a name of its own, and may have a note, which is for people. It says where
// values are, or what they look like, in lists of strings, of which it has at least one:
//
//	headers   names of header and trailer fields       MaskHeaders
//	cookies   names of cookies                         MaskCookies
//	query     names of query parameters                MaskQuery
//	path      patterns of paths                        MaskPath
//	form      names of form and multipart fields       MaskForm
//	json      JSONPath (RFC 9535)                      MaskJSON
//	xml       names of elements and attributes         MaskXML
//	patterns  regular expressions, wherever text is    MaskPatterns
//	detect    kinds of values that tell themselves     MaskDetected
//
// Replace says what takes the place of a value: "redact", which is the default, "drop",
// "hash" or "tokenize": see Redact, Drop, Hash and Tokenize. Rules apply in their order,
// each to what those before it left: one that looks everywhere finds the tokens of those
// before it too, where they look like what it looks for.
//
// Credentials are dropped before all rules, as by DropCredentials, unless "credentials" is
// "keep": then they are what the rules make of them, and the Masker of a Remote, which is
// DropCredentials, has to go. A body that no rule looks into is
// neither sent nor reported, unless "bodies" names its type, as AllowBodies does: "*/*" lets
// all pass.
type Policy struct {
	*masker
	composite.InTurn
	rules []policyRule
}

// policyRule is a rule of a Policy by itself.
type policyRule struct {
	name    string
	maskers []Masker
}

// add appends a rule.
func (p *Policy) add(name string, maskers ...Masker) {
	p.rules = append(p.rules, policyRule{name, maskers})
}

// Mask applies the rules to m. It is an error where one of them must look into the body and
// cannot, and where none does that should.
func (p *Policy) Mask(m *Message) error { return p.masker.Mask(m) }

// credentialsRule is the name of the rule that is there without standing in the file.
const credentialsRule = "credentials"
