// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/TuneSearch.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace cria::tools {

namespace {

/// Rounds after which the field is halved, and of the last race.
constexpr int HeatRounds = 4, FinalRounds = 12;
constexpr size_t LeastRounds = 5;
/// Variants that an exhaustive search holds at a time, as each has a session,
/// and how many candidates of an op meet in its last race.
constexpr size_t HeldVariants = 32, Finalists = 4;

/// Variants and what each of them tries: Tries[v][op] is an index into that
/// op's candidates.
struct Field {
  std::vector<size_t> Variants;
  std::vector<std::vector<size_t>> Tries;
};

class Race {
public:
  Race(const std::vector<TuneOp> &Ops, TuneTrack &Track)
      : Ops(Ops), Track(Track), Results(Ops.size()) {
    for (TuneResult &Result : Results)
      Result.Candidates.emplace_back(); // the default
  }

  size_t add(size_t Op, TuneCandidate Candidate) {
    Results[Op].Candidates.push_back(std::move(Candidate));
    return Results[Op].Candidates.size() - 1;
  }

  /// Variants for candidates `Entered[op]`, and one of all defaults first. An
  /// op with fewer than others sits out: its default runs again, and counts.
  Field enter(const std::vector<std::vector<size_t>> &Entered) {
    size_t Most = 0;
    for (const auto &Each : Entered)
      Most = std::max(Most, Each.size());
    Field Made;
    std::vector<std::vector<TuneSchedule>> Waiting;
    for (size_t V = 0; V <= Most; ++V) {
      std::vector<size_t> Tries(Ops.size(), 0);
      std::vector<TuneSchedule> Schedules(Ops.size());
      for (size_t Op = 0; Op < Ops.size(); ++Op) {
        if (V > 0 && V <= Entered[Op].size())
          Tries[Op] = Entered[Op][V - 1];
        Schedules[Op] = Results[Op].Candidates[Tries[Op]].Schedule;
      }
      Made.Tries.push_back(std::move(Tries));
      Waiting.push_back(std::move(Schedules));
      if (Waiting.size() < Track.atOnce() && V < Most)
        continue;
      Track.report("compiling variant " + std::to_string(V + 1) + " of " +
                   std::to_string(Most + 1));
      size_t First = Track.build(Waiting);
      for (size_t I = 0; I < Waiting.size(); ++I)
        Made.Variants.push_back(First + I);
      Waiting.clear();
      // What is late would leave no time to run.
      if (V > 1 && Track.elapsed() > 0.6 * Track.budget())
        break;
    }
    return Made;
  }

  void run(const Field &Running, int Rounds) {
    for (int Round = 0; Round < Rounds; ++Round) {
      // Another order each time: what runs after what must not count.
      std::vector<size_t> Order(Running.Variants.size());
      std::iota(Order.begin(), Order.end(), 0);
      std::rotate(Order.begin(),
                  Order.begin() + RoundsRun % static_cast<int>(Order.size()),
                  Order.end());
      if (RoundsRun % 2)
        std::reverse(Order.begin(), Order.end());
      std::vector<size_t> Variants;
      for (size_t V : Order)
        Variants.push_back(Running.Variants[V]);
      Track.report("racing " + std::to_string(Order.size()) + " variants");
      std::vector<std::vector<double>> Times = Track.run(Variants);
      ++RoundsRun;
      std::vector<double> Base(Ops.size());
      for (size_t I = 0; I < Order.size(); ++I)
        if (Order[I] == 0)
          Base = Times[I];
      for (size_t I = 0; I < Order.size(); ++I)
        for (size_t Op = 0; Op < Ops.size(); ++Op) {
          size_t Try = Running.Tries[Order[I]][Op];
          if (Try == 0 && Order[I] != 0)
            continue;
          TuneCandidate &Candidate = Results[Op].Candidates[Try];
          Candidate.Seconds.Samples.push_back(Times[I][Op]);
          if (Base[Op] > 0)
            Candidate.Ratios.Samples.push_back(Times[I][Op] / Base[Op]);
          ++Candidate.Rounds;
        }
    }
  }

  /// Takes the slower half of each op's candidates out of the race, and
  /// variants in which none is left. Whether any op has several left.
  bool halve(Field &Running) {
    std::vector<std::vector<size_t>> Kept(Ops.size());
    for (size_t Op = 0; Op < Ops.size(); ++Op) {
      std::vector<size_t> Trying;
      for (const auto &Tries : Running.Tries)
        if (Tries[Op] && !isOut(Op, Tries[Op]))
          Trying.push_back(Tries[Op]);
      std::sort(Trying.begin(), Trying.end(), [&](size_t A, size_t B) {
        return ratio(Op, A) < ratio(Op, B);
      });
      Trying.resize((Trying.size() + 1) / 2);
      Kept[Op] = Trying;
    }
    Field Left;
    for (size_t V = 0; V < Running.Variants.size(); ++V) {
      bool Any = V == 0;
      for (size_t Op = 0; Op < Ops.size(); ++Op)
        Any |= std::count(Kept[Op].begin(), Kept[Op].end(),
                          Running.Tries[V][Op]) > 0;
      if (!Any) {
        Track.drop(Running.Variants[V]);
        continue;
      }
      Left.Variants.push_back(Running.Variants[V]);
      Left.Tries.push_back(Running.Tries[V]);
    }
    bool Several = false;
    for (size_t Op = 0; Op < Ops.size(); ++Op) {
      Alive[Op] = Kept[Op];
      Several |= Kept[Op].size() > 1;
    }
    Running = std::move(Left);
    return Several;
  }

  void drop(const Field &Ended) {
    for (size_t V : Ended.Variants)
      Track.drop(V);
  }

  /// What has been measured chose who races on, and would flatter them: only
  /// what comes now decides.
  void startFinal() {
    for (TuneResult &Result : Results)
      for (TuneCandidate &Each : Result.Candidates)
        Each.FinalFrom = Each.Ratios.Samples.size();
  }

  double ratio(size_t Op, size_t Candidate) const {
    const Series &Ratios = Results[Op].Candidates[Candidate].Ratios;
    return Ratios.Samples.empty() ? 1e9 : Ratios.median();
  }

  /// Whether the candidate is faster than the default, over noise: at most one
  /// round in ten disagrees.
  bool isFaster(size_t Op, size_t Candidate) const {
    const TuneCandidate &Each = Results[Op].Candidates[Candidate];
    Series Final;
    Final.Samples.assign(Each.Ratios.Samples.begin() + Each.FinalFrom,
                         Each.Ratios.Samples.end());
    auto Slower = static_cast<size_t>(
        std::count_if(Final.Samples.begin(), Final.Samples.end(),
                      [](double Ratio) { return Ratio >= 1; }));
    return Final.Samples.size() >= LeastRounds &&
           Final.median() <= TuneLeastGain &&
           10 * Slower <= Final.Samples.size();
  }

  void chooseWinners() {
    for (size_t Op = 0; Op < Ops.size(); ++Op)
      for (size_t C = 1; C < Results[Op].Candidates.size(); ++C)
        if (isFaster(Op, C) && (!Results[Op].Winner ||
                                ratio(Op, C) < ratio(Op, Results[Op].Winner)))
          Results[Op].Winner = C;
  }

  std::vector<TuneResult> take() { return std::move(Results); }
  const TuneResult &result(size_t Op) const { return Results[Op]; }

private:
  bool isOut(size_t Op, size_t Candidate) const {
    auto Found = Alive.find(Op);
    return Found != Alive.end() &&
           !std::count(Found->second.begin(), Found->second.end(), Candidate);
  }

  const std::vector<TuneOp> &Ops;
  TuneTrack &Track;
  std::vector<TuneResult> Results;
  std::map<size_t, std::vector<size_t>> Alive; // by op, once halved
  int RoundsRun = 0;
};

/// Single knobs apart from the default, the best predictions first.
std::vector<TuneCandidate> singles(const TuneOp &Op) {
  std::vector<TuneCandidate> Found;
  for (const auto &[Name, Values] : Op.Knobs)
    for (const TuneValue &Each : Values)
      if (Each.Predicted <= TunePruneFactor &&
          Op.Default.at(Name) != Each.Value) {
        TuneCandidate Candidate;
        Candidate.Schedule = {{Name, Each.Value}};
        Candidate.Predicted = Each.Predicted;
        Found.push_back(std::move(Candidate));
      }
  std::sort(Found.begin(), Found.end(),
            [](const TuneCandidate &A, const TuneCandidate &B) {
              return std::tie(A.Predicted, A.Schedule) <
                     std::tie(B.Predicted, B.Schedule);
            });
  return Found;
}

/// All combinations, the default left out.
std::vector<TuneCandidate> combinations(const TuneOp &Op) {
  std::vector<TuneCandidate> Found(1);
  for (const auto &[Name, Values] : Op.Knobs) {
    std::vector<TuneCandidate> Longer;
    for (const TuneCandidate &Each : Found)
      for (const TuneValue &Value : Values) {
        TuneCandidate Next = Each;
        if (Value.Value != Op.Default.at(Name))
          Next.Schedule[Name] = Value.Value;
        Next.Predicted = std::max(Next.Predicted, Value.Predicted);
        Longer.push_back(std::move(Next));
      }
    Found = std::move(Longer);
  }
  Found.erase(std::remove_if(Found.begin(), Found.end(),
                             [](const TuneCandidate &Each) {
                               return Each.Schedule.empty();
                             }),
              Found.end());
  return Found;
}

} // namespace

std::vector<TuneResult> guidedSearch(const std::vector<TuneOp> &Ops,
                                     TuneTrack &Track) {
  Race Running(Ops, Track);
  std::vector<std::vector<size_t>> Entered(Ops.size());
  for (size_t Op = 0; Op < Ops.size(); ++Op)
    for (TuneCandidate &Each : singles(Ops[Op]))
      Entered[Op].push_back(Running.add(Op, std::move(Each)));
  Field Single = Running.enter(Entered);
  do {
    Running.run(Single, HeatRounds);
  } while (Running.halve(Single) && Track.elapsed() < 0.75 * Track.budget());

  // The faster value of each knob, and all of those together.
  std::vector<std::vector<size_t>> Last(Ops.size());
  for (size_t Op = 0; Op < Ops.size(); ++Op) {
    std::map<std::string, size_t> Best;
    const std::vector<TuneCandidate> &Tried = Running.result(Op).Candidates;
    size_t Fastest = 0;
    for (size_t C = 1; C < Tried.size(); ++C) {
      if (Running.ratio(Op, C) > TuneLeastGain)
        continue;
      auto [Place, IsNew] =
          Best.try_emplace(Tried[C].Schedule.begin()->first, C);
      if (!IsNew && Running.ratio(Op, C) < Running.ratio(Op, Place->second))
        Place->second = C;
      if (!Fastest || Running.ratio(Op, C) < Running.ratio(Op, Fastest))
        Fastest = C;
    }
    if (Best.empty())
      continue;
    Last[Op].push_back(Fastest);
    if (Best.size() < 2)
      continue;
    TuneCandidate Together;
    for (const auto &[Name, C] : Best) {
      Together.Schedule.insert(Tried[C].Schedule.begin(),
                               Tried[C].Schedule.end());
      Together.Predicted = std::max(Together.Predicted, Tried[C].Predicted);
    }
    Last[Op].push_back(Running.add(Op, std::move(Together)));
  }
  if (std::any_of(Last.begin(), Last.end(),
                  [](const auto &Each) { return !Each.empty(); })) {
    Running.drop(Single);
    Field Final = Running.enter(Last);
    Running.startFinal();
    for (int Round = 0; Round < FinalRounds; ++Round)
      if (Round < static_cast<int>(LeastRounds) ||
          Track.elapsed() < Track.budget())
        Running.run(Final, 1);
  }
  Running.chooseWinners();
  return Running.take();
}

std::vector<TuneResult> exhaustiveSearch(const std::vector<TuneOp> &Ops,
                                         TuneTrack &Track, int Rounds) {
  Race Running(Ops, Track);
  std::vector<std::vector<size_t>> All(Ops.size());
  size_t Most = 0;
  for (size_t Op = 0; Op < Ops.size(); ++Op) {
    for (TuneCandidate &Each : combinations(Ops[Op]))
      All[Op].push_back(Running.add(Op, std::move(Each)));
    Most = std::max(Most, All[Op].size());
  }
  for (size_t From = 0; From < Most; From += HeldVariants) {
    std::vector<std::vector<size_t>> Entered(Ops.size());
    for (size_t Op = 0; Op < Ops.size(); ++Op)
      for (size_t I = From; I < std::min(From + HeldVariants, All[Op].size());
           ++I)
        Entered[Op].push_back(All[Op][I]);
    Field Held = Running.enter(Entered);
    Running.run(Held, Rounds);
    Running.drop(Held);
  }
  for (size_t Op = 0; Op < Ops.size(); ++Op) {
    std::sort(All[Op].begin(), All[Op].end(), [&](size_t A, size_t B) {
      return Running.ratio(Op, A) < Running.ratio(Op, B);
    });
    All[Op].resize(std::min(All[Op].size(), Finalists));
  }
  Field Final = Running.enter(All);
  Running.startFinal();
  Running.run(Final, FinalRounds);
  Running.chooseWinners();
  return Running.take();
}

} // namespace cria::tools
