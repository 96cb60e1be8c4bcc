using System.Data.Common;

namespace Coppice.Server.Store;

/// <summary>Statements with named parameters over any database.</summary>
static class Sql
{
    /// <summary>Runs a statement and returns how many rows it changed.</summary>
    public static int Execute(this DbConnection connection, string text, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using DbCommand command = Command(connection, text, parameters);
        return command.ExecuteNonQuery();
    }

    /// <summary>All rows of a query.</summary>
    public static List<T> Query<T>(this DbConnection connection, string text, Func<DbDataReader, T> read, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using DbCommand command = Command(connection, text, parameters);
        using DbDataReader reader = command.ExecuteReader();
        List<T> rows = [];
        while (reader.Read())
            rows.Add(read(reader));
        return rows;
    }

    /// <summary>The first row of a query, or null.</summary>
    public static T? First<T>(this DbConnection connection, string text, Func<DbDataReader, T> read, params ReadOnlySpan<(string Name, object? Value)> parameters) where T : class =>
        connection.Query(text, read, parameters).FirstOrDefault();

    /// <summary>The number of a row that was inserted with <c>RETURNING</c>.</summary>
    public static long Number(this DbConnection connection, string text, params ReadOnlySpan<(string Name, object? Value)> parameters) =>
        connection.Query(text, reader => reader.GetInt64(0), parameters)[0];

    public static DateTimeOffset Time(this DbDataReader reader, int column) => DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(column));

    public static DateTimeOffset? OptionalTime(this DbDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.Time(column);

    public static string? OptionalText(this DbDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetString(column);

    public static T Word<T>(this DbDataReader reader, int column) where T : struct, Enum => Enum.Parse<T>(reader.GetString(column), ignoreCase: true);

    static DbCommand Command(DbConnection connection, string text, ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        DbCommand command = connection.CreateCommand();
        command.CommandText = text;
        foreach ((string name, object? value) in parameters)
        {
            DbParameter parameter = command.CreateParameter();
            parameter.ParameterName = name;
            parameter.Value = value switch
            {
                null => DBNull.Value,
                DateTimeOffset time => time.ToUnixTimeMilliseconds(),
                int number => (long)number,
                Enum word => word.ToString().ToLowerInvariant(),
                _ => value,
            };
            command.Parameters.Add(parameter);
        }
        return command;
    }
}
