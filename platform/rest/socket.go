package rest

import (
	"context"
	"net"

	"github.com/bgce/archive/platform/rest/peer"
)

// operatorKey finds the unix user of a connection on the operators' socket.
type operatorKey struct{}

// ServeSocket answers operators on a unix socket (mode 0600) until the context ends. Whoever may open it as root or as the user this
// process runs as acts as "operator:<unix user>" with platform rights, without a token and without limits.
func (a *API) ServeSocket(ctx context.Context, path string) error {
	l, err := peer.Listen(ctx, path)
	if err != nil {
		return err
	}
	return a.serve(ctx, l, func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, operatorKey{}, peer.Name(c))
	})
}
