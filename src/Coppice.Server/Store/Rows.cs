namespace Coppice.Server.Store;

/// <summary>Where a run stands.</summary>
enum RunState { Running, Done, Failed }

/// <summary>Where a round stands. Survivors are known from <see cref="Closing"/> on, the next model with <see cref="Closed"/>.</summary>
enum RoundState { Open, Closing, Closed }

/// <summary>What became of a client that was asked.</summary>
enum AssignmentState { Waiting, Received, Refused, Failed, Late }

/// <summary>A run.</summary>
/// <param name="Signature">Names it by all that decides its result.</param>
/// <param name="Options">Those options, as JSON.</param>
/// <param name="Model">The blob of the model after the last closed round.</param>
/// <param name="Reason">Why it failed.</param>
sealed record RunRow(long Id, string Signature, string Options, string Model, RunState State, string? Reason);

/// <summary>A client that was enrolled.</summary>
/// <param name="Thumbprint">SHA-256 of its certificate, in hexadecimal.</param>
sealed record ClientRow(string Name, string Thumbprint, DateTimeOffset Enrolled, DateTimeOffset? Revoked, DateTimeOffset? Seen);

/// <summary>A round.</summary>
/// <param name="Number">1-based within its run.</param>
/// <param name="Model">The blob of the model that it starts from.</param>
/// <param name="Attempt">1, and 2 once the deadline was moved.</param>
sealed record RoundRow(long Id, long Run, int Number, RoundState State, string Model, DateTimeOffset Opened, DateTimeOffset Deadline, int Attempt, DateTimeOffset? Closed);

/// <summary>What one client is asked in one round.</summary>
/// <param name="Epoch">How often the client has asked for it: more than once where it was started again.</param>
/// <param name="Reason">Why it was refused, failed, or came late.</param>
/// <param name="BytesUp">Bytes of committed messages, refused ones included.</param>
/// <param name="BytesDown">Bytes of the task that were sent, those sent again included.</param>
sealed record AssignmentRow(long Id, long Run, long Round, string Client, int Epoch, AssignmentState State, string? Reason, long BytesUp, long BytesDown);

/// <summary>A committed update.</summary>
/// <param name="Blob">The whole message.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Samples">The client's weight in the average.</param>
/// <param name="LossBefore">Mean nats a token before its local steps.</param>
/// <param name="LossAfter">The same after them.</param>
/// <param name="Norm">2-norm of its change to the weights, as decoded.</param>
sealed record UpdateRow(string Blob, long Bytes, int Samples, double LossBefore, double LossAfter, double Norm);

/// <summary>A client whose update goes into a round's result.</summary>
sealed record Survivor(string Client, UpdateRow Update);

/// <summary>An assignment and the update that answers it, if one does.</summary>
sealed record AnswerRow(AssignmentRow Assignment, UpdateRow? Update);

/// <summary>Something that happened.</summary>
/// <param name="Kind">One word: round, update, refused, failed, late, client, access, run, secure.</param>
sealed record EventRow(DateTimeOffset Time, string Kind, string Text);

/// <summary>A round that is to be opened.</summary>
sealed record NewRound(int Number, IReadOnlyList<string> Clients, DateTimeOffset Deadline);
