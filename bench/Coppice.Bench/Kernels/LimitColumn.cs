using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Coppice.Bench.Kernels;

/// <summary>A column of what a kernel's median time means beside the machine's limit.</summary>
internal sealed class LimitColumn(string name, string legend, Func<double, double, string> show) : IColumn
{
    /// <summary>Rate, limit and share.</summary>
    public static IColumn[] All { get; } =
    [
        new LimitColumn("Rate", "10^9 a second: floating-point operations, or bytes read where the memory is the limit", (rate, _) => Giga(rate)),
        new LimitColumn("Limit", "The same of multiply-adds in registers, or of reading memory in order: median of before and after each benchmark", (_, limit) => Giga(limit)),
        new LimitColumn("Share", "Rate by limit", (rate, limit) => (rate / limit).ToString("P0", CultureInfo.InvariantCulture)),
    ];

    public string Id => nameof(LimitColumn) + name;

    public string ColumnName => name;

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public string Legend => legend;

    public bool IsAvailable(Summary summary) => summary.BenchmarksCases.Any(one => one.Descriptor.Type.IsSubclassOf(typeof(KernelBenchmark)));

    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
    {
        if (summary[benchmarkCase]?.ResultStatistics is not { } times || Activator.CreateInstance(benchmarkCase.Descriptor.Type) is not KernelBenchmark kernel)
            return "-";
        foreach (var parameter in benchmarkCase.Parameters.Items)
            kernel.GetType().GetProperty(parameter.Name)!.SetValue(kernel, parameter.Value);
        double work = kernel.Work(benchmarkCase.Descriptor.WorkloadMethod.Name);
        return work == 0 ? "-" : show(work / (times.Median * 1e-9), Machine.With(kernel.Threads)[kernel.Limit]);
    }

    static string Giga(double rate) => (rate / 1e9).ToString("0.0", CultureInfo.InvariantCulture);
}
