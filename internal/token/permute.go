package token

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// permute replaces x, symbols below radix, by as many others: one to one for each tweak,
// which is at most a few bytes. Single symbols and short strings are permuted; in strings
// that are too long for that, of 2^120 values and more, two values with one token are as
// unlikely as two with one code.
func (k *keys) permute(tweak []byte, radix uint64, x []byte) {
	switch {
	case len(x) == 0:
	case len(x) == 1:
		x[0] = k.rank(tweak, radix, x[0])
	case power(radix, len(x)-len(x)/2) != 0:
		ff1(k.block, tweak, radix, x)
	default:
		k.stream(tweak, radix, x)
	}
}

// power is radix^n, or 0 where that does not fit.
func power(radix uint64, n int) uint64 {
	p := uint64(1)
	for range n {
		hi, lo := bits.Mul64(p, radix)
		if hi != 0 {
			return 0
		}
		p = lo
	}
	return p
}

// rank is the place that the encryption of a symbol has among those of all symbols: the
// prefix cipher of Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (2002),
// section 3. FF1 is not made for one symbol; its first block begins with 1, these with 0.
func (k *keys) rank(tweak []byte, radix uint64, symbol byte) (rank byte) {
	in := make([]byte, 2*aes.BlockSize)
	out := in[aes.BlockSize:]
	encrypt := func(s byte) (uint64, uint64) {
		clear(in[:aes.BlockSize])
		in[1] = s
		copy(in[2:aes.BlockSize], tweak)
		k.block.Encrypt(out, in[:aes.BlockSize])
		return binary.BigEndian.Uint64(out), binary.BigEndian.Uint64(out[8:])
	}
	high, low := encrypt(symbol)
	for s := range radix {
		if h, l := encrypt(byte(s)); h < high || h == high && l < low {
			rank++
		}
	}
	return rank
}

// stream draws symbols from ChaCha8 under the code of x and tweak.
func (k *keys) stream(tweak []byte, radix uint64, x []byte) {
	source := rand.NewChaCha8(k.code(long, append(append([]byte{byte(len(tweak))}, tweak...), x...)))
	for i := range x {
		x[i] = byte(source.Uint64() % radix) // uneven by less than 2^-58
	}
}

// ff1 encrypts x, two or more symbols below radix, in place with FF1 (NIST SP 800-38G,
// algorithm 7), for strings whose halves fit in 64 bits each: that is all there is to be
// had without big numbers, and enough for 38 digits. The names are those of the
// standard.
//
// It is written out here because the Go library for it, github.com/capitalone/fpe, has been
// archived since 2022.
func ff1(block cipher.Block, tweak []byte, radix uint64, x []byte) {
	n := len(x)
	u := n / 2
	v := n - u
	modulus := [2]uint64{power(radix, u), power(radix, v)}
	a, b := number(radix, x[:u]), number(radix, x[u:])

	width := (bits.Len64(modulus[1]-1) + 7) / 8                                   // "b" of the standard: bytes of a half
	padded := (len(tweak) + 1 + width + aes.BlockSize - 1) &^ (aes.BlockSize - 1) // bytes of Q
	buffer := make([]byte, 2*aes.BlockSize+padded)
	p, r, q := buffer[:aes.BlockSize], buffer[aes.BlockSize:2*aes.BlockSize], buffer[2*aes.BlockSize:]
	p[0], p[1], p[2], p[6], p[7] = 1, 2, 1, 10, byte(u)
	p[4], p[5] = byte(radix>>8), byte(radix)
	binary.BigEndian.PutUint32(p[8:], uint32(n))
	binary.BigEndian.PutUint32(p[12:], uint32(len(tweak)))
	block.Encrypt(p, p)
	copy(q, tweak)

	for i := range 10 {
		var half [8]byte
		binary.BigEndian.PutUint64(half[:], b)
		q[padded-width-1] = byte(i)
		copy(q[padded-width:], half[8-width:])
		copy(r, p)
		for at := 0; at < padded; at += aes.BlockSize {
			for j := range aes.BlockSize {
				r[j] ^= q[at+j]
			}
			block.Encrypt(r, r)
		}
		// y is the number of the first 8 bytes of r, or 12 where a half has more than 4.
		high, low := uint64(0), binary.BigEndian.Uint64(r)
		if width > 4 {
			high, low = uint64(binary.BigEndian.Uint32(r)), binary.BigEndian.Uint64(r[4:])
		}
		m := modulus[i%2]
		sum, carry := bits.Add64(a, bits.Rem64(high, low, m), 0)
		a, b = b, bits.Rem64(carry, sum, m)
	}
	symbols(radix, a, x[:u])
	symbols(radix, b, x[u:])
}

// number reads symbols as a number, the most significant first.
func number(radix uint64, x []byte) (n uint64) {
	for _, symbol := range x {
		n = n*radix + uint64(symbol)
	}
	return n
}

// symbols writes n to x.
func symbols(radix, n uint64, x []byte) {
	for i := len(x) - 1; i >= 0; i-- {
		x[i] = byte(n % radix)
		n /= radix
	}
}
