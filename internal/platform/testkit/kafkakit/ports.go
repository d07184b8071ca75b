package kafkakit

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// ports are numbers that nobody else is given: while this process listens on the first of
// a block, the others are its own, also while the broker that had them is down.
//
// They lie below what systems give to outgoing connections (from 32768 on Linux). There, a
// client that dials a broker which is down can be given the broker's port and meet itself.
type ports struct {
	claim net.Listener
	first int
}

const (
	lowest, highest = 20000, 32000
	block           = 16
)

var errNoPorts = errors.New("no ports are free from 20000 to 32000")

func claimPorts(count int) (*ports, error) {
	if count >= block {
		return nil, errors.New("a cluster has at most three brokers")
	}
	for _, n := range rand.Perm((highest - lowest) / block) {
		first := lowest + n*block
		claim, err := listen(first)
		if err != nil {
			continue
		}
		if allFree(first+1, count) {
			return &ports{claim, first + 1}, nil
		}
		if err := claim.Close(); err != nil {
			return nil, err
		}
	}
	return nil, errNoPorts
}

func allFree(first, count int) bool {
	for port := first; port < first+count; port++ {
		l, err := listen(port)
		if err != nil || l.Close() != nil {
			return false
		}
	}
	return true
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

func (p *ports) number(i int) int { return p.first + i }

func (p *ports) release() error { return p.claim.Close() }
