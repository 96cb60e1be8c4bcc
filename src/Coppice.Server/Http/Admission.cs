using System.Security.Cryptography.X509Certificates;
using Coppice.Federation.Remote;
using Coppice.Server.Certificates;
using Coppice.Server.Rounds;
using Coppice.Server.Store;

namespace Coppice.Server.Http;

/// <summary>Who may come in: a client with a certificate of this run's authority that is valid now, was enrolled, and is not revoked. It is asked at every request, so that who is revoked is out at once.</summary>
sealed class Admission(Authority authority, IRunStore store, TimeProvider time)
{
    const int NotedAMinute = 60;

    readonly Lock gate = new();
    long minute;
    int noted;

    /// <summary>The client's name.</summary>
    /// <exception cref="RefusedException">It may not come in; that is noted.</exception>
    public string Admit(X509Certificate2? certificate)
    {
        DateTimeOffset now = time.GetUtcNow();
        if (certificate is null)
            throw Refuse(RefusedException.Unauthorized, "a client without a certificate", now);
        string name = ClientCertificates.NameOf(certificate);
        // Whoever comes may call himself anything.
        string shown = string.Concat(name.Take(64).Select(letter => char.IsControl(letter) ? '?' : letter));
        if (authority.Refuses(certificate, now) is { } reason)
            throw Refuse(RefusedException.Unauthorized, $"client '{shown}': its certificate {reason}", now);
        return store.FindClient(name) switch
        {
            null => throw Refuse(RefusedException.Forbidden, $"client '{shown}': was not enrolled", now),
            { Revoked: not null } => throw Refuse(RefusedException.Forbidden, $"client '{shown}': was revoked", now),
            { Thumbprint: var enrolled } when enrolled != Authority.ThumbprintOf(certificate) => throw Refuse(RefusedException.Forbidden, $"client '{shown}': its certificate was replaced by another", now),
            _ => name,
        };
    }

    // Who is not let in does not fill the disk either.
    RefusedException Refuse(int status, string reason, DateTimeOffset now)
    {
        lock (gate)
        {
            if (now.ToUnixTimeSeconds() / 60 is var current && current != minute)
                (minute, noted) = (current, 0);
            if (noted++ < NotedAMinute)
                store.Log("access", reason, now);
        }
        return new RefusedException(status, reason);
    }
}
