package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// source is a file with its changes.
type source struct {
	file, pkg string
	src       []byte
	mutants   []mutant
}

// mutant is one change: text that is put around a part of the source.
type mutant struct {
	id            int
	name, key     string // the place and the change; and the source that it is of
	file          string
	line          int
	from, to      int
	before, after string
}

// find finds the changes of a file. None of them adds a line.
func find(file string, src []byte, id *int) (*source, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		return nil, err
	}
	s := &source{file: file, pkg: tree.Name.Name, src: src}
	sum := sha256.Sum256(src)
	text := func(n ast.Node) string {
		return string(src[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset])
	}
	// change adds a change of n. MUTANT stands for the call that asks for it.
	change := func(n ast.Node, what, before, after string) {
		*id++
		p := fset.Position(n.Pos())
		call := fmt.Sprintf("mutant_(%d)", *id)
		name := fmt.Sprintf("%s:%d:%d %s: %.60s", file, p.Line, p.Column, what, strings.Join(strings.Fields(text(n)), " "))
		s.mutants = append(s.mutants, mutant{
			id: *id, name: name, key: fmt.Sprintf("%s %x", name, sum[:6]), file: file, line: p.Line,
			from: p.Offset, to: fset.Position(n.End()).Offset,
			before: strings.ReplaceAll(before, "MUTANT", call), after: strings.ReplaceAll(after, "MUTANT", call),
		})
	}
	known := map[ast.Expr]bool{}
	always := func(x ast.Expr) { known[x] = true; change(x, "true", "(", " || MUTANT)") }
	never := func(x ast.Expr) { known[x] = true; change(x, "false", "((", ") && !MUTANT)") }
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.IfStmt:
			always(n.Cond)
			never(n.Cond)
		case *ast.ForStmt:
			if n.Cond != nil { // which most loops would not end with, if it were true
				never(n.Cond)
			}
		case *ast.SwitchStmt:
			if n.Tag != nil {
				break
			}
			for _, c := range n.Body.List {
				for _, x := range c.(*ast.CaseClause).List {
					always(x)
					never(x)
				}
			}
		case *ast.BinaryExpr:
			switch n.Op {
			case token.LAND:
				always(n.X)
				always(n.Y)
			case token.LOR:
				never(n.X)
				never(n.Y)
			case token.EQL, token.NEQ, token.LSS, token.GTR, token.LEQ, token.GEQ:
				if !known[n] {
					always(n)
					never(n)
				}
			}
			equal := "(" + text(n.X) + ") == (" + text(n.Y) + ")"
			switch {
			case strings.Contains(equal, "\n"):
			case n.Op == token.LSS, n.Op == token.GTR:
				change(n, "bound included", "(", " || MUTANT && "+equal+")")
			case n.Op == token.LEQ, n.Op == token.GEQ:
				change(n, "bound excluded", "(", " && !(MUTANT && "+equal+"))")
			}
		case *ast.Ident:
			switch n.Name {
			case "true":
				change(n, "true is false", "(", " && !MUTANT)")
			case "false":
				change(n, "false is true", "(", " || MUTANT)")
			}
		case *ast.BlockStmt:
			drop(n.List, change)
		case *ast.CaseClause:
			drop(n.Body, change)
		case *ast.CommClause:
			drop(n.Body, change)
		}
		return true
	})
	return s, nil
}

// drop leaves out each statement without which a program may compile.
func drop(list []ast.Stmt, change func(n ast.Node, what, before, after string)) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" { // a function may end with it
					continue
				}
			}
		case *ast.DeferStmt, *ast.GoStmt, *ast.IncDecStmt, *ast.SendStmt, *ast.BranchStmt:
		default:
			continue
		}
		change(s, "left out", "if !MUTANT { ", " }")
	}
}

// changed returns the source with all changes.
func (s *source) changed() []byte {
	type edit struct {
		at, order int
		text      string
	}
	var edits []edit
	for i, m := range s.mutants { // what is around another comes first
		edits = append(edits, edit{m.from, i + 1, m.before}, edit{m.to, -i - 1, m.after})
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, s.src[at:e.at]...), e.text...)
		at = e.at
	}
	return append(out, s.src[at:]...)
}

var place = regexp.MustCompile(`([^/\s:]+\.go):(\d+):`)

// without leaves out the changes of the lines that a compiler complains about, and returns
// how many these are.
func (s *source) without(output []byte) int {
	lines := map[int]bool{}
	for _, m := range place.FindAllSubmatch(output, -1) {
		if string(m[1]) == s.file[strings.LastIndexAny(s.file, `/\`)+1:] {
			line, _ := strconv.Atoi(string(m[2]))
			lines[line] = true
		}
	}
	before := len(s.mutants)
	s.mutants = slices.DeleteFunc(s.mutants, func(m mutant) bool { return lines[m.line] })
	return before - len(s.mutants)
}
